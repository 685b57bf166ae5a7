import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { build } from '../../scripts/build.mjs'
import { npm } from '../../scripts/install.mjs'
import { run } from '../../scripts/processes.mjs'
import { type Manifest, packages, readJson, root } from '../workspace.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Paths of the tarballs, by package name. */
    readonly tarballs: Readonly<Record<string, string>>
    /** Folders outside the workspace that have all tarballs installed, with the newest and the lowest peers. */
    readonly newest: string
    readonly lowest: string
  }
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>
}

let workshop: string | undefined

/** Builds and packs every package, then installs the tarballs in two folders as a user would. */
export async function setup(project: TestProject): Promise<void> {
  workshop = await mkdtemp(join(tmpdir(), 'packaging-'))
  await build(packages.map(({ name }) => name))
  const tarballs = await pack(workshop)
  const newest = join(workshop, 'newest')
  const lowest = join(workshop, 'lowest')
  await Promise.all([
    consume(newest, tarballs, ({ locked, range }) => locked ?? range),
    consume(lowest, tarballs, ({ range }) => floor(range)),
  ])
  project.provide('tarballs', tarballs)
  project.provide('newest', newest)
  project.provide('lowest', lowest)
}

export async function teardown(): Promise<void> {
  if (workshop) await rm(workshop, { recursive: true, force: true })
}

async function pack(folder: string): Promise<Record<string, string>> {
  const workspaces = packages.flatMap((one) => ['--workspace', one.folder])
  const args = ['--json', '--ignore-scripts', '--pack-destination', folder, ...workspaces]
  const { command, args: full } = npm('pack', ...args)
  const { code, output } = await run(command, full, { cwd: root })
  if (code !== 0) throw new Error(`npm pack failed\n${output}`)
  return Object.fromEntries(
    packages.map(({ manifest: { name, version } }) => {
      const file = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
      return [name, join(folder, file)]
    }),
  )
}

interface Peer {
  readonly range: string
  /** The version this workspace is developed with. */
  readonly locked: string | undefined
}

async function consume(
  folder: string,
  tarballs: Readonly<Record<string, string>>,
  version: (peer: Peer) => string,
): Promise<void> {
  const lock = readJson<Lock>('package-lock.json')
  const locked = (name: string) => lock.packages[`node_modules/${name}`]?.version
  const wanted: Record<string, string> = {}
  for (const { manifest } of packages) {
    for (const [name, range] of Object.entries(manifest.peerDependencies ?? {})) {
      // Peers without a floor are binaries of one platform each, found at run time.
      if (range === '*') continue
      wanted[name] = version({ range, locked: locked(name) })
      const types = `@types/${name.replace('@', '').replace('/', '__')}`
      const typesVersion = locked(types)
      if (typesVersion) wanted[types] = typesVersion
    }
  }
  const tools = { '@types/node': locked('@types/node') ?? '*' }
  const own = Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]))
  const manifest = {
    name: 'consumer',
    version: '1.0.0',
    private: true,
    dependencies: { ...wanted, ...tools, ...own },
    // The packages depend on each other by version; here these versions are the tarballs. Others are those
    // that run on this version of Node.
    overrides: { ...readJson<{ readonly overrides: object }>('package.json').overrides, ...own },
  }
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest, null, 2))
  const { command, args } = npm('install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund')
  const { code, output } = await run(command, args, { cwd: folder })
  if (code !== 0) throw new Error(`npm install of the tarballs failed in ${folder}\n${output}`)
  await assertVersions(folder, wanted)
}

/** A floor is tested only if npm really installed it. */
async function assertVersions(folder: string, wanted: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, version] of Object.entries(wanted)) {
    if (!/^\d/.test(version)) continue
    const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8')
    const installed = (JSON.parse(text) as Manifest).version
    if (installed !== version) throw new Error(`${name} ${version} was asked for, ${installed} is installed`)
  }
}

/** The lowest version of a range: `5.10.1` of `^5.10.1 || ^6.0.0`. */
function floor(range: string): string {
  const digits = /\d+(?:\.\d+)*/.exec(range)?.[0]
  if (!digits) throw new Error(`a peer range needs a lowest version, ${range} has none`)
  const [major = '0', minor = '0', patch = '0'] = digits.split('.')
  return `${major}.${minor}.${patch}`
}
