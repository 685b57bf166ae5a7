/**
 * `node scripts/node-matrix.mjs [22 24 26] [--project unit,packaging]`: runs the unit and packaging tests, which
 * build, install and load the packages, on other lines of Node. The binaries come from npm.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPackages, npm } from './install.mjs'
import { run } from './processes.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values, positionals } = parseArgs({
  options: { project: { type: 'string', default: 'unit,packaging' } },
  allowPositionals: true,
})
const lines = positionals.length > 0 ? positionals : ['22', '24', '26']
const projects = values.project.split(',').flatMap((project) => ['--project', project])

await installPackages(root, console.log)
for (const line of lines) {
  const folder = await mkdtemp(join(tmpdir(), 'cays-node-'))
  try {
    const node = await fetchNode(line, folder)
    const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const { code, output, seconds } = await run(node, [vitest, 'run', ...projects], { cwd: root, env })
    const { output: version } = await run(node, ['--version'])
    console.log(`${code === 0 ? '✓' : '✗'} Node ${version.trim()} in ${seconds.toFixed(0)} s`)
    if (code !== 0) {
      console.log(output)
      process.exitCode = 1
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The path of the newest binary of a line of Node, installed in `folder`. */
async function fetchNode(line, folder) {
  const name = `node-${process.platform}-${process.arch}`
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const { command, args } = npm('install', `${name}@${line}`, '--ignore-scripts', '--no-audit', '--no-fund')
  const { code, output } = await run(command, args, { cwd: folder })
  if (code !== 0) throw new Error(`${name}@${line} cannot be installed\n${output}`)
  return join(folder, 'node_modules', name, 'bin/node')
}
