import { run } from '../../scripts/processes.mjs'
import { packages } from '../workspace.ts'

/** Every entry a user can import. */
export const specifiers: readonly string[] = packages.flatMap(({ entries }) =>
  entries.map(({ specifier }) => specifier),
)

export interface Loaded {
  /** Names of the values the entry exports. */
  readonly names: readonly string[]
  /** Packages of which at least one file was loaded, built-in modules left out. */
  readonly packages: readonly string[]
}

const PACKAGE_OF = `
const packageOf = (path) => /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path)?.[1]
const done = (module, files) => console.log(JSON.stringify({
  names: Object.keys(module).filter((name) => name !== 'default' && name !== 'module.exports' && name !== '__esModule').sort(),
  packages: [...new Set(files.map(packageOf).filter(Boolean))].sort(),
}))
`

// Resolution runs in a thread of its own, so the files come back over a port.
const ESM = `
import { register } from 'node:module'
import { MessageChannel } from 'node:worker_threads'
${PACKAGE_OF}
const { port1, port2 } = new MessageChannel()
const files = []
port1.on('message', (url) => files.push(url))
const hooks = \`
  let port
  export const initialize = (data) => { port = data.port }
  export const load = async (url, context, next) => { port.postMessage(url); return next(url, context) }
\`
register('data:text/javascript,' + encodeURIComponent(hooks), { data: { port: port2 }, transferList: [port2] })
const module = await import(process.env.ENTRY)
await new Promise((resolve) => setTimeout(resolve, 20))
port1.close()
done(module, files)
`

const CJS = `
${PACKAGE_OF}
const module_ = require(process.env.ENTRY)
done(module_, Object.keys(require.cache))
`

/** Loads one entry in a process of its own, as an app in `folder` would. */
export async function load(folder: string, specifier: string, format: 'esm' | 'cjs'): Promise<Loaded> {
  const args =
    format === 'esm'
      ? ['--input-type=module', '--eval', ESM]
      : // Test runners and older Nodes cannot require ESM, so the CJS build must not need it.
        ['--no-experimental-require-module', '--input-type=commonjs', '--eval', CJS]
  const env = { ...process.env, ENTRY: specifier, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' }
  const { code, output } = await run(process.execPath, args, { cwd: folder, env })
  if (code !== 0) throw new Error(`${specifier} cannot be loaded as ${format}\n${output}`)
  return JSON.parse(output) as Loaded
}
