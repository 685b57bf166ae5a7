/**
 * Measures against peers: installs what the comparison needs and builds the packages whose sources are newer than
 * their build. Ends with 1 when a figure is missed or could not be measured.
 *
 *   npm run bench                                everything
 *   npm run bench -- cache storage/presign       these packages or cases
 *   npm run bench -- --json FILE                 and keeps the figures
 *   npm run bench -- --write-docs FILE           docs/benchmarks.md from such a file
 */
import { spawn } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { installPackages } from './install.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Asked before anything is installed; `bench/main.ts` then reads the same ones. */
function readArguments() {
  const usage = 'usage: npm run bench -- [package | package/case…] [--json FILE] [--write-docs FILE]'
  const options = { json: { type: 'string' }, 'write-docs': { type: 'string' }, help: { type: 'boolean' } }
  try {
    const { values } = parseArgs({ allowPositionals: true, options })
    if (!values.help) return values
    console.log(usage)
    process.exit(0)
  } catch (error) {
    console.error(`${error.message}\n${usage}`)
    process.exit(2)
  }
}

/** When a folder's newest file was written, 0 when there is none. */
async function newest(folder) {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const times = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).mtimeMs))
  return Math.max(0, ...times)
}

async function outdated() {
  const names = await readdir(join(root, 'packages'))
  const checked = await Promise.all(
    names.map(async (name) => {
      const folder = join(root, 'packages', name)
      const measured = name === 'core' || (await newest(join(folder, 'bench'))) > 0
      return measured && (await newest(join(folder, 'src'))) > (await newest(join(folder, 'dist')))
    }),
  )
  return names.filter((_, index) => checked[index])
}

const writesDocs = readArguments()['write-docs'] !== undefined
await installPackages(root, console.log)
if (!writesDocs) {
  await installPackages(join(root, 'bench'), (text) => console.log(`${text} to measure against`))
  await build(await outdated(), console.log)
}
const sources = ['--import', 'tsx', '--conditions=@cays/source']
const child = spawn(process.execPath, [...sources, join(root, 'bench/main.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
