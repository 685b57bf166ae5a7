import { isBuiltin } from 'node:module'
import { describe, expect, it } from 'vitest'
import { importsOf, loadedWith, resolveRelative, sourcesOf } from '../sources.ts'
import { packageOf, packages, requiredPeers } from '../workspace.ts'

const drivers = new Set(packages.flatMap(({ manifest }) => requiredPeers(manifest)))

describe.each(packages)('the sources of $manifest.name', ({ manifest, folder, entries }) => {
  const imports = sourcesOf(folder).flatMap((file) => importsOf(file).map((found) => ({ file, ...found })))
  const foreign = imports.filter(({ specifier }) => !specifier.startsWith('.') && !isBuiltin(specifier))
  const show = (list: typeof imports) => list.map(({ file, specifier }) => `${file}: ${specifier}`)

  it('import nothing of the family but the kernel, and that by concept', () => {
    const family = foreign.filter(({ specifier }) => specifier.startsWith('@cays/'))
    expect(show(family.filter(({ specifier }) => !specifier.startsWith('@cays/core/')))).toEqual([])
    if (manifest.name === '@cays/core') expect(show(family)).toEqual([])
  })

  it('import only what the manifest declares', () => {
    const { dependencies = {}, peerDependencies = {} } = manifest
    const declared = (specifier: string) => packageOf(specifier) in { ...dependencies, ...peerDependencies }
    expect(show(foreign.filter(({ specifier }) => !declared(specifier)))).toEqual([])
  })

  it('stay in their folder and name files with their extension', () => {
    const relative = imports.filter(({ specifier }) => specifier.startsWith('.'))
    const inside = ({ file, specifier }: (typeof imports)[number]) =>
      /\.tsx?$/.test(specifier) && resolveRelative(file, specifier).startsWith(`${folder}/src/`)
    expect(show(relative.filter((found) => !inside(found)))).toEqual([])
  })

  it('never load ioredis: the app passes its client', () => {
    const loaded = foreign.filter(
      ({ typeOnly, specifier }) => !typeOnly && packageOf(specifier) === 'ioredis',
    )
    expect(show(loaded)).toEqual([])
  })

  it('load a driver only from the root entry of the package that exists for it', () => {
    for (const { subpath, source } of entries) {
      const own = subpath === '.' ? requiredPeers(manifest) : []
      const loaded = [...loadedWith(`${folder}/${source}`)]
        .flatMap((file) => importsOf(file))
        .filter(({ typeOnly, specifier }) => !typeOnly && drivers.has(packageOf(specifier)))
        .map(({ specifier }) => packageOf(specifier))
      expect({ subpath, loaded: loaded.filter((name) => !own.includes(name)) }).toEqual({
        subpath,
        loaded: [],
      })
    }
  })
})
