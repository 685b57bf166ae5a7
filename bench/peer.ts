import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Loads a package of `bench/package.json`, from whichever case asks. A case says itself what it uses of it, so
 * that types can be checked where the peers are not installed.
 */
export async function peer<Module>(specifier: string): Promise<Module> {
  return (await import(specifier)) as Module
}

const root = join(import.meta.dirname, '..')

/**
 * The installed version of a contender, as the case's package and the harness find it; `undefined` when it is no
 * package, but code beside the case.
 */
export function versionOf(name: string, packageFolder: string): string | undefined {
  for (const folder of [packageFolder, import.meta.dirname, root]) {
    try {
      const text = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')
      return (JSON.parse(text) as { readonly version: string }).version
    } catch {
      // Not there: the next folder.
    }
  }
  return undefined
}
