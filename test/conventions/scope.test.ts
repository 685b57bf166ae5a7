import { describe, expect, it } from 'vitest'
import { importsOf, sourcesOf } from '../sources.ts'
import { packageOf, packages, read, readJson } from '../workspace.ts'

const { cays } = readJson<{ readonly cays: { readonly scope: string } }>('package.json')
const { scope } = cays

describe('the scope, spelled in the root manifest under cays.scope', () => {
  it.each(packages)('names $folder', ({ manifest, name }) => {
    expect(manifest.name).toBe(`${scope}/${name}`)
  })

  it.each(packages)('names the source condition of $folder', ({ manifest }) => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target === 'object') expect(Object.keys(target)[0]).toBe(`${scope}/source`)
    }
  })

  it('is what every family member is imported by', () => {
    const family = new Set(packages.map(({ manifest }) => manifest.name))
    const folders = new Set(packages.map(({ name }) => name))
    const strangers = packages
      .flatMap(({ folder }) => sourcesOf(folder))
      .flatMap((file) => importsOf(file).map(({ specifier }) => ({ file, name: packageOf(specifier) })))
      .filter(({ name }) => folders.has(name.split('/')[1] ?? '') && !family.has(name))
    expect(strangers).toEqual([])
  })

  it('is what releases group and tools resolve by', () => {
    expect(readJson<{ readonly fixed: unknown }>('changeset.config.json').fixed).toEqual([[`${scope}/*`]])
    expect(read('tsconfig.base.json')).toContain(`"${scope}/source"`)
    expect(read('vitest.config.ts')).toContain(`'${scope}/source'`)
    expect(read('tsup.preset.ts')).toContain(`'${scope}/source'`)
  })
})
