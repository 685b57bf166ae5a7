import { LRUCache } from 'lru-cache'
import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/index.ts'
import { S3Fifo } from '../../src/s3-fifo.ts'

const REQUESTS = 100_000
const KEYS = 50_000
/** Of 50,000 keys, one in a hundred fits. */
const ITEMS = 500

/** Numbers of [0, 1) that are the same in every run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2 ** 32
  }
}

/** Ranks by Zipf's law: the n-th key is asked for 1/n times as often as the first. */
function zipf(random: () => number): () => number {
  const sums = new Float64Array(KEYS)
  let sum = 0
  for (let rank = 0; rank < KEYS; rank++) {
    sum += 1 / (rank + 1)
    sums[rank] = sum
  }
  return () => {
    const drawn = random() * sum
    let low = 0
    let high = KEYS - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] ?? 0) < drawn) low = middle + 1
      else high = middle
    }
    return low
  }
}

type Trace = (at: number, popular: () => number, random: () => number) => string

const traces: Readonly<Record<string, { readonly trace: Trace; readonly gain: number }>> = {
  'popular keys': { trace: (_, popular) => `${popular()}`, gain: 0.05 },
  'popular keys, and keys that nobody asks for again among them': {
    trace: (at, popular, random) => (random() < 0.2 ? `once ${at}` : `${popular()}`),
    gain: 0.05,
  },
  'popular keys, and now and then a scan of four times what fits': {
    trace: (at, popular) => (at % 10_000 < 4 * ITEMS ? `scan ${at}` : `${popular()}`),
    gain: 0.05,
  },
  'popular keys that become others': {
    trace: (at, popular) => `${(popular() + Math.floor(at / 20_000) * 1_000) % KEYS}`,
    gain: -0.005,
  },
  'a loop over a little more than fits': { trace: (at) => `${at % (ITEMS * 1.1)}`, gain: 0.5 },
}

function hitRatio(cache: S3Fifo<number> | LRUCache<string, number>, trace: Trace): number {
  const random = generator(7)
  const popular = zipf(random)
  let hits = 0
  for (let at = 0; at < REQUESTS; at++) {
    const key = trace(at, popular, random)
    if (cache.get(key) === undefined) cache.set(key, at, { size: 100 })
    else hits++
  }
  return hits / REQUESTS
}

describe('S3-FIFO', () => {
  for (const [what, { trace, gain }] of Object.entries(traces)) {
    it(`hits more often than an LRU, or at least as often: ${what}`, () => {
      const lru = hitRatio(new LRUCache<string, number>({ max: ITEMS, maxSize: 2 ** 30 }), trace)
      const s3 = hitRatio(new S3Fifo<number>({ maxItems: ITEMS, maxBytes: 2 ** 30 }), trace)
      expect(s3).toBeGreaterThan(lru + gain)
      const byBytes = hitRatio(new S3Fifo<number>({ maxItems: 2 ** 20, maxBytes: ITEMS * 140 }), trace)
      expect(byBytes).toBeGreaterThan(lru + gain)
    })
  }

  it('keeps what is read often through any number of keys that are read once', () => {
    const cache = new S3Fifo<number>({ maxItems: 100, maxBytes: 2 ** 20 })
    for (let i = 0; i < 50; i++) {
      cache.set(`hot${i}`, i, { size: 10 })
      cache.get(`hot${i}`)
    }
    for (let i = 0; i < 10_000; i++) cache.set(`once${i}`, i, { size: 10 })
    for (let i = 0; i < 50; i++) expect(cache.peek(`hot${i}`)).toBe(i)
  })

  it('never holds more items or bytes than it may, nor other values than it was given, whatever is done', () => {
    const seed = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`seed ${seed}`)
    const random = generator(seed || 1)
    for (const maxItems of [1, 2, 9, 100]) {
      for (const maxBytes of [200, 5_000, 2 ** 20]) {
        const cache = new S3Fifo<number>({ maxItems, maxBytes })
        const given = new Map<string, { readonly value: number; readonly size: number }>()
        const wrong: string[] = []
        for (let step = 0; step < 3_000; step++) {
          const key = `k${Math.floor(random() * 3 * maxItems)}`
          const dice = random()
          if (dice < 0.5) {
            const size = Math.ceil(random() ** 4 * 1.1 * maxBytes)
            cache.set(key, step, { size })
            given.set(key, { value: step, size })
            // Even when there was no room, the value before has gone.
            if (cache.peek(key) !== (size > maxBytes ? undefined : step))
              wrong.push(`${key} is not what was set`)
          } else if (dice < 0.9) {
            const value = cache.get(key)
            if (value !== undefined && value !== given.get(key)?.value)
              wrong.push(`${key} has an older value`)
          } else if (dice < 0.999) {
            cache.delete(key)
            given.delete(key)
            if (cache.get(key) !== undefined) wrong.push(`${key} was deleted`)
          } else {
            cache.clear()
            given.clear()
          }
          if (cache.size > maxItems || cache.calculatedSize > maxBytes) wrong.push('more than there may be')
        }
        expect(wrong).toEqual([])
        const held = [...given].filter(([key]) => cache.peek(key) !== undefined)
        expect(cache.size).toBe(held.length)
        expect(cache.calculatedSize).toBeGreaterThanOrEqual(held.reduce((sum, [, { size }]) => sum + size, 0))
        cache.clear()
        expect([cache.size, cache.calculatedSize]).toEqual([0, 0])
      }
    }
  })
})

describe('a cache that evicts by S3-FIFO', () => {
  it('keeps its bounds, and what is read often through a scan', async () => {
    const l1 = { maxItems: 100, maxBytes: 50_000 } as const
    await using scanned = createCache({ name: 'test', l1: { ...l1, eviction: 's3-fifo' } })
    await using lru = createCache({ name: 'test', l1 })
    for (const cache of [scanned, lru]) {
      for (let i = 0; i < 20; i++) await cache.getOrSet(`hot${i}`, () => i)
      for (let i = 0; i < 20; i++) await cache.getOrSet(`hot${i}`, () => i)
      for (let i = 0; i < 300; i++) await cache.getOrSet(`once${i}`, () => i)
      expect(cache.health().memory.items).toBe(100)
    }
    const kept = (cache: typeof lru) => Array.from({ length: 20 }, (_, i) => cache.peek(`hot${i}`))
    expect(kept(scanned)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect(kept(lru)).toEqual(Array.from({ length: 20 }, () => undefined))
    for (let i = 0; i < 100; i++) await scanned.set(`big${i}`, 'x'.repeat(5_000))
    expect(scanned.health().memory.bytes).toBeLessThanOrEqual(50_000)
    await scanned.invalidate('big99')
    expect(scanned.peek('big99')).toBeUndefined()
    await scanned.clear()
    expect(scanned.peek('hot1')).toBeUndefined()
  })

  it('is one of two policies', () => {
    expect(() => createCache({ name: 'test', l1: { eviction: 'fifo' as 'lru' } })).toThrow(
      expect.objectContaining({ code: 'CACHE_ERR_OPTION' }),
    )
  })
})
