import { describe, expect, inject, it } from 'vitest'
import { packages, requiredPeers } from '../workspace.ts'
import { load } from './consumer.ts'

const required = new Set(packages.flatMap(({ manifest }) => requiredPeers(manifest)))

describe.each(packages)('$manifest.name', ({ manifest, entries }) => {
  const mayLoad = (subpath: string) => {
    const direct = new Set([manifest.name, ...Object.keys(manifest.dependencies ?? {})])
    // Only a root may load the driver its package exists for; a subpath may load what it is named after.
    if (subpath === '.') for (const peer of requiredPeers(manifest)) direct.add(peer)
    const named = subpath.slice(2)
    for (const peer of [named, `express-${named}`]) if (manifest.peerDependencies?.[peer]) direct.add(peer)
    return direct
  }

  it.each(entries)('$specifier loads only what it may', async ({ specifier, subpath }) => {
    const allowed = mayLoad(subpath)
    const folder = inject('newest')
    for (const format of ['esm', 'cjs'] as const) {
      const { packages: loaded } = await load(folder, specifier, format)
      // What an allowed third party loads in turn is its own affair.
      const foreign = [...allowed].some((name) => !name.startsWith('@cays/') && loaded.includes(name))
      const judged = foreign
        ? loaded.filter((name) => required.has(name) || name.startsWith('@cays/'))
        : loaded
      expect(judged.filter((name) => !allowed.has(name))).toEqual([])
      expect(loaded).not.toContain('ioredis')
    }
  })
})

describe('the kernel', () => {
  it('loads nothing but itself', async () => {
    const core = packages.find(({ name }) => name === 'core')
    for (const { specifier } of core?.entries ?? []) {
      expect(await load(inject('newest'), specifier, 'cjs')).toMatchObject({ packages: ['@cays/core'] })
    }
  })
})
