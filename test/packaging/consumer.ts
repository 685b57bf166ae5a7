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

const NAMES_OF = `
const namesOf = (module) => Object.keys(module)
  .filter((name) => name !== 'default' && name !== 'module.exports' && name !== '__esModule').sort()
`

const PACKAGE_OF = `${NAMES_OF}
const packageOf = (path) => /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path)?.[1]
const done = (module, files) => console.log(JSON.stringify({
  names: namesOf(module),
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

const ALL_ESM = `${NAMES_OF}
const all = {}
for (const entry of JSON.parse(process.env.ENTRY)) all[entry] = namesOf(await import(entry))
console.log(JSON.stringify(all))
`

const ALL_CJS = `${NAMES_OF}
const all = {}
for (const entry of JSON.parse(process.env.ENTRY)) all[entry] = namesOf(require(entry))
console.log(JSON.stringify(all))
`

/** Loads one entry in a process of its own, as an app in `folder` would. */
export async function load(folder: string, specifier: string, format: 'esm' | 'cjs'): Promise<Loaded> {
  return (await inProcess(folder, format === 'esm' ? ESM : CJS, specifier, format)) as Loaded
}

/** Loads one entry after the other in one process, and tells what each exports. */
export async function namesOf(
  folder: string,
  entries: readonly string[],
  format: 'esm' | 'cjs',
): Promise<Readonly<Record<string, readonly string[]>>> {
  const program = format === 'esm' ? ALL_ESM : ALL_CJS
  return (await inProcess(folder, program, JSON.stringify(entries), format)) as Record<string, string[]>
}

/** Runs an ES module as an app in `folder` would, and reads the JSON that it prints. */
export async function runProgram(folder: string, program: string): Promise<unknown> {
  return await inProcess(folder, program, '', 'esm')
}

async function inProcess(
  folder: string,
  program: string,
  entry: string,
  format: 'esm' | 'cjs',
): Promise<unknown> {
  const args =
    format === 'esm'
      ? ['--input-type=module', '--eval', program]
      : // Test runners and older Nodes cannot require ESM, so the CJS build must not need it.
        ['--no-experimental-require-module', '--input-type=commonjs', '--eval', program]
  const env = { ...process.env, ENTRY: entry, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' }
  const { code, output } = await run(process.execPath, args, { cwd: folder, env })
  if (code !== 0) throw new Error(`${entry || 'the program'} fails as ${format}\n${output}`)
  return JSON.parse(output)
}
