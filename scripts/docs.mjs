/**
 * `npm run docs`: writes the generated pages of `docs/` and builds the API site in `docs/api`. A warning or an
 * export without documentation is an error.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages } from './install.mjs'
import { run } from './processes.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const sources = ['--import', 'tsx', '--conditions=@cays/source']

await installPackages(root, console.log)
for (const args of [
  [...sources, join(root, 'scripts/reference-pages.mjs')],
  [join(root, 'node_modules/typedoc/bin/typedoc')],
]) {
  const { code, output } = await run(process.execPath, args, { cwd: root })
  console.log(output.trim())
  if (code !== 0) process.exitCode = 1
}
