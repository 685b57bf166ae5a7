/**
 * `npm run bench [-- package…] [--json FILE]`: measures against peers; `-- --write-docs FILE` writes
 * `docs/benchmarks.md` from such a file. Installs what the comparison needs and builds the packages whose
 * sources are newer than their build. Ends with 1 when a figure is missed or could not be measured.
 */
import { spawn } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { installPackages } from './install.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

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

await installPackages(root, console.log)
if (!process.argv.includes('--write-docs')) {
  await installPackages(join(root, 'bench'), (text) => console.log(`${text} to measure against`))
  await build(await outdated(), console.log)
}
const sources = ['--import', 'tsx', '--conditions=@cays/source']
const child = spawn(process.execPath, [...sources, join(root, 'bench/main.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
