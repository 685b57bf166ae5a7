import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './processes.mjs'

const NODE = [20, 19]

/** Says why this Node cannot run the workspace, or nothing when it can. */
export function nodeTooOld(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > NODE[0] || (major === NODE[0] && minor >= NODE[1])) return undefined
  return `Node ${NODE.join('.')} or newer is needed, this is ${version}`
}

/**
 * True when node_modules holds what the lock file asks for. npm leaves a stamp there (its hidden lock file),
 * written last, so an interrupted install never passes for a finished one.
 */
export async function isInstalled(root) {
  try {
    const [wanted, present] = await Promise.all(
      ['package-lock.json', 'node_modules/.package-lock.json'].map(
        async (file) => JSON.parse(await readFile(join(root, file), 'utf8')).packages,
      ),
    )
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === '' || entry.link || !path.includes('node_modules/')) return true
      const installed = present[path]
      // What belongs to another platform, or to a peer that npm leaves out, is rightly absent.
      if (!installed) return Boolean(entry.optional || entry.devOptional || entry.peer)
      return installed.version === entry.version && installed.integrity === entry.integrity
    })
  } catch {
    return false
  }
}

/** Brings node_modules to the state of the lock file with `npm ci`; does nothing when it is there already. */
export async function installPackages(root, log = () => {}) {
  const tooOld = nodeTooOld()
  if (tooOld) throw new Error(tooOld)
  if (await isInstalled(root)) return false
  log('installing npm packages')
  const { command, args } = npm('ci', '--prefer-offline', '--no-audit', '--no-fund')
  const { code, output } = await run(command, args, { cwd: root })
  if (code !== 0) throw new Error(`npm ci ended with code ${code}\n\n${output}`)
  return true
}

/** The npm that started this script, so that nothing depends on what else is on PATH. */
export function npm(...args) {
  const cli = process.env.npm_execpath
  return cli?.endsWith('.js') ? { command: process.execPath, args: [cli, ...args] } : { command: 'npm', args }
}
