import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const root: string = join(import.meta.dirname, '..')

export interface Target {
  readonly '@cays/source'?: string
  readonly import?: { readonly types: string; readonly default: string }
  readonly require?: { readonly types: string; readonly default: string }
}

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly files?: readonly string[]
  readonly exports: Readonly<Record<string, string | Target>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly repository?: { readonly type: string; readonly url: string; readonly directory: string }
  readonly [field: string]: unknown
}

/** One entry of a package, as its `exports` declare it. */
export interface Entry {
  /** What a user imports, e.g. `@cays/core/error`. */
  readonly specifier: string
  /** The key in `exports`: `.` or `./error`. */
  readonly subpath: string
  /** The source file, relative to the package. */
  readonly source: string
}

export interface Package {
  /** The folder's name, e.g. `db-router`. */
  readonly name: string
  /** Relative to the root, e.g. `packages/db-router`. */
  readonly folder: string
  readonly manifest: Manifest
  readonly entries: readonly Entry[]
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export function readJson<T>(path: string): T {
  return JSON.parse(read(path)) as T
}

/** Every published package, in alphabetical order. */
export const packages: readonly Package[] = readdirSync(join(root, 'packages'))
  .filter((name) => existsSync(join(root, 'packages', name, 'package.json')))
  .map((name) => describePackage(name, `packages/${name}`))
  .filter(({ manifest }) => !manifest.private)

function describePackage(name: string, folder: string): Package {
  const manifest = readJson<Manifest>(`${folder}/package.json`)
  const entries = Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    const source = typeof target === 'object' ? target['@cays/source'] : undefined
    return source
      ? [{ specifier: manifest.name + subpath.slice(1), subpath, source: source.replace('./', '') }]
      : []
  })
  return { name, folder, manifest, entries }
}

/** The files under a folder that end as asked, relative to the root; nothing when there is no such folder. */
export function filesUnder(folder: string, ending: string): readonly string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending) && !/(?:^|\/)(?:node_modules|dist)\//.test(file))
    .map((file) => `${folder}/${file}`)
    .sort()
}

/** The files of the repository, relative to the root: what git tracks or would, or what an export of it holds. */
export function repositoryFiles(): readonly string[] {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const { status, stdout } = spawnSync('git', list, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status === 0) return stdout.split('\0').filter((file) => file && existsSync(join(root, file)))
  const ignored = /(?:^|\/)(?:node_modules|dist|\.git|\.cays|coverage)(?:\/|$)|^docs\/api/
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !ignored.test(file))
}

/** The package's name in an import specifier: `pg` of `pg/lib/x`, `@cays/core` of `@cays/core/error`. */
export function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

/** Peers that the package cannot do without. */
export function requiredPeers({
  peerDependencies = {},
  peerDependenciesMeta = {},
}: Manifest): readonly string[] {
  return Object.keys(peerDependencies).filter((peer) => !peerDependenciesMeta[peer]?.optional)
}
