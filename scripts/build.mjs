/**
 * `npm run build [-- package…]`: builds the packages with tsup, two at a time. A sibling's types, and what a
 * package carries of a sibling, are read from the sources, so no package waits for another.
 */
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './processes.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The folders under `packages/` that are published. */
export async function publishedPackages() {
  const names = await readdir(join(root, 'packages'))
  const manifests = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(root, 'packages', name, 'package.json'), 'utf8').catch(() => 'null')
      return { name, manifest: JSON.parse(text) }
    }),
  )
  return manifests.filter(({ manifest }) => manifest && !manifest.private).map(({ name }) => name)
}

/** Builds the named packages; throws with the output of the first that fails. */
export async function build(names, log = () => {}) {
  const tsup = join(root, 'node_modules/tsup/dist/cli-default.js')
  const queue = [...names]
  const worker = async () => {
    for (let name = queue.shift(); name; name = queue.shift()) {
      const cwd = join(root, 'packages', name)
      const { code, output, seconds } = await run(process.execPath, [tsup], { cwd })
      if (code !== 0) throw new Error(`${name} does not build\n\n${output}`)
      log(`built ${name} in ${seconds.toFixed(1)} s`)
    }
  }
  await Promise.all([worker(), worker()])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2)
  await build(asked.length > 0 ? asked : await publishedPackages(), console.log).catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
