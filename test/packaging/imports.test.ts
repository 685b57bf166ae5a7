import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { packages, requiredPeers, root } from '../workspace.ts'
import { load, namesOf, specifiers } from './consumer.ts'

const required = new Set(packages.flatMap(({ manifest }) => requiredPeers(manifest)))
const entries = packages.flatMap(({ entries: own, ...one }) => own.map((entry) => ({ ...one, ...entry })))

/** The packages of which an entry may load files. */
function allowedFor({ manifest, subpath }: (typeof entries)[number]): ReadonlySet<string> {
  const allowed = new Set([manifest.name, ...Object.keys(manifest.dependencies ?? {})])
  // Only a root may load the driver its package exists for; a subpath may load what it is named after.
  if (subpath === '.') for (const peer of requiredPeers(manifest)) allowed.add(peer)
  const named = subpath.slice(2)
  for (const peer of [named, `express-${named}`]) if (manifest.peerDependencies?.[peer]) allowed.add(peer)
  return allowed
}

describe.each(entries)('$specifier', (entry) => {
  it('exports the same names as ESM, as CJS and in its source, and loads only what it may', async () => {
    const { specifier, folder, source, manifest } = entry
    const [esm, cjs] = await Promise.all([
      load(inject('newest'), specifier, 'esm'),
      load(inject('newest'), specifier, 'cjs'),
    ])
    const inSource = Object.keys((await import(join(root, folder, source))) as object).sort()
    expect(esm.names).toEqual(inSource)
    expect(cjs.names).toEqual(inSource)
    const allowed = allowedFor(entry)
    for (const { packages: loaded } of [esm, cjs]) {
      // What an allowed third party loads in turn is its own affair.
      const foreign = [...allowed].some((name) => !name.startsWith('@cays/') && loaded.includes(name))
      const judged = foreign
        ? loaded.filter((name) => required.has(name) || name.startsWith('@cays/'))
        : loaded
      expect(judged.filter((name) => !allowed.has(name))).toEqual([])
      expect(loaded).not.toContain('ioredis')
    }
    if (manifest.name === '@cays/core') expect(cjs.packages).toEqual(['@cays/core'])
  })
})

describe('every entry', () => {
  it('loads with the lowest version of every peer', async () => {
    const [esm, cjs] = await Promise.all([
      namesOf(inject('lowest'), specifiers, 'esm'),
      namesOf(inject('lowest'), specifiers, 'cjs'),
    ])
    expect(Object.keys(esm)).toEqual(specifiers)
    expect(esm).toEqual(cjs)
  })
})
