import { brotliCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/compression.ts'
import { Envelopes, UNREADABLE } from '../../src/envelope.ts'
import { readOptions } from '../../src/options.ts'

const limits = { compressOver: 1_000, maxEntryBytes: 100_000 }
const about = { seq: 1, tags: [], grace: undefined, took: undefined }

describe('compression', () => {
  it('leaves alone what is short, or would not become shorter', async () => {
    expect(await pack('j"short"', limits)).toBe('j"short"')
    const random = `j"${Array.from({ length: 5_000 }, () => String.fromCharCode(33 + Math.random() * 90)).join('')}"`
    const packed = (await pack(random, limits)) ?? ''
    expect(packed.length).toBeLessThanOrEqual(random.length)
  })

  it('gives back what it took, in less space', async () => {
    const text = `j${JSON.stringify('ünïcode '.repeat(5_000))}`
    const packed = Buffer.from((await pack(text, limits)) ?? '')
    expect(packed.length).toBeLessThan(text.length / 20)
    expect(await unpack(packed, limits.maxEntryBytes)).toBe(text)
  })

  it('refuses what is larger than an entry may be, also before it is unpacked', async () => {
    expect(await pack(`j"${'x'.repeat(100_000)}"`, limits)).toBeUndefined()
    expect(await pack(`j"${'ü'.repeat(60_000)}"`, limits)).toBeUndefined()
    const bomb = brotliCompressSync(`j"${'x'.repeat(50_000_000)}"`)
    expect(bomb.length).toBeLessThan(1_000)
    await expect(unpack(bomb, limits.maxEntryBytes)).rejects.toThrow()
    const unreadable: string[] = []
    const { l2 } = readOptions({ name: 'test', l2: limits })
    const envelopes = new Envelopes(l2, (key) => unreadable.push(key))
    const header = `1${'9'.repeat(13)}0123456789`
    const good = (await envelopes.pack('x'.repeat(50_000))) ?? ''
    expect(await envelopes.open('k', header + envelopes.seal('k', 'e', about, good))).toMatchObject({
      value: 'x'.repeat(50_000),
    })
    for (const bad of [bomb, 'bnonsense']) {
      expect(await envelopes.open('k', header + envelopes.seal('k', 'e', about, bad))).toMatchObject({
        value: UNREADABLE,
      })
    }
    expect(unreadable).toEqual(['k', 'k'])
  })
})
