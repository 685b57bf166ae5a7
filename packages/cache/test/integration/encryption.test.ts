import { randomBytes } from 'node:crypto'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Cache, createCache, type EncryptionKey } from '../../src/index.ts'
import { patient } from '../fleet.ts'

let server: StandaloneRedis
let redis: Redis
let serial = 0

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})

afterAll(async () => {
  redis?.disconnect()
  await server?.close()
})

function key(id: string): EncryptionKey {
  return { id, secret: randomBytes(32) }
}

/** One process each, with these keys. */
function processes(...each: readonly (readonly EncryptionKey[] | undefined)[]) {
  const name = `encrypted${++serial}`
  const caches = each.map((encryption) =>
    createCache({ name, redis, ttl: '1h', l2: { ...patient, compressOver: 1_000, encryption } }),
  )
  return {
    caches: caches as readonly Cache[] as readonly [Cache, Cache, Cache],
    at: (of: string) => `cays:cache:{${name}@1:${of}}`,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(caches.map((cache) => cache.close()))
    },
  }
}

const never = () => Promise.reject(new Error('must not load'))

/** All that Redis has, in text. */
async function everything(): Promise<string> {
  const texts: unknown[] = []
  for (const name of await redis.keys('*')) {
    const type = await redis.type(name)
    if (type === 'string') texts.push(await redis.get(name))
    else if (type === 'hash') texts.push(await redis.hgetall(name))
    else texts.push(await redis.xrange(name, '-', '+'))
  }
  return JSON.stringify(texts)
}

describe('encrypted values in Redis', () => {
  it('are read by the other processes with their types, and show nothing to who looks into Redis', async () => {
    const keys = [key('a')]
    await using fleet = processes(keys, keys)
    const [a, b] = fleet.caches
    const value = { iban: 'DE02120300000000202051', at: new Date(0) }
    await a.getOrSet('loaded', () => value, { tags: ['t'] })
    await a.set('set', value)
    await a.set('long', { ...value, text: 'DE02120300000000202051 '.repeat(1_000) })
    expect(await b.getOrSet('loaded', never)).toStrictEqual(value)
    expect([...(await b.getMany(['set', 'long'])).values()]).toMatchObject([value, value])
    const fails = () => Promise.reject(new Error('DE02120300000000202051 is unknown'))
    await expect(a.getOrSet('failing', fails, { errorBackoff: '1m' })).rejects.toThrow('is unknown')
    await expect(b.getOrSet('failing', never)).rejects.toMatchObject({
      code: 'CACHE_ERR_LOAD_BACKOFF',
      cause: expect.objectContaining({ message: 'DE02120300000000202051 is unknown' }),
    })
    const seen = await everything()
    expect(seen).toContain('ea.')
    expect(seen).not.toContain('DE0212')
    expect(seen).not.toContain(Buffer.from('DE0212').toString('base64').slice(0, 6))
    expect(await redis.strlen(fleet.at('long'))).toBeLessThan(500)
    await a.expire('loaded')
    expect(await b.getOrSet('loaded', fails, { grace: '1h' })).toStrictEqual(value)
  })

  it('outlive a change of keys, process by process', async () => {
    const [old, next] = [key('2025'), key('2026')]
    await using fleet = processes([old, next], [next, old], [next])
    const [before, during, after] = fleet.caches
    await before.set('first', 1)
    expect(await during.getOrSet('first', never)).toBe(1)
    await during.set('second', 2)
    expect(await before.getOrSet('second', never)).toBe(2)
    expect(await after.getOrSet('second', never)).toBe(2)
    // Whoever no longer has the old key loads what it encrypted, and then all have that.
    expect(await after.getOrSet('first', () => 3)).toBe(3)
    expect(await redis.get(fleet.at('first'))).toContain('\ne2026.')
  })

  const attacks = {
    'tampered with': async (at: string) => {
      const raw = (await redis.get(at)) ?? ''
      const middle = raw.length - 20
      await redis.set(at, raw.slice(0, middle) + (raw[middle] === 'A' ? 'B' : 'A') + raw.slice(middle + 1))
    },
    'swapped with the value of another key': async (at: string, other: string) => {
      const raw = ((await redis.get(other)) ?? '').replace('["other"', '["k"')
      await redis.set(at, raw)
    },
    'replaced by one that is not encrypted': async (at: string) => {
      const raw = (await redis.get(at)) ?? ''
      await redis.set(at, `${raw.slice(0, raw.indexOf('\n'))}\nj"forged"`)
    },
    'cut off': async (at: string) => {
      const raw = (await redis.get(at)) ?? ''
      await redis.set(at, raw.slice(0, -10))
    },
  }
  for (const [what, attack] of Object.entries(attacks)) {
    it(`are misses when they were ${what}: one load for all, an event, one warning`, async () => {
      const keys = [key('a')]
      await using fleet = processes(keys, keys, keys)
      const [a, b, c] = fleet.caches
      await a.set('k', 'mine')
      await a.set('other', 'other')
      await attack(fleet.at('k'), fleet.at('other'))
      const unreadable: string[] = []
      b.on('unreadable', ({ key }) => unreadable.push(key))
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      expect(await b.get('k')).toBeUndefined()
      let loads = 0
      const load = async () => ++loads
      const values = await Promise.all([b, c].map((cache) => cache.getOrSet('k', load)))
      const codes = warn.mock.calls.map(([, options]) => (options as { code?: string }).code)
      warn.mockRestore()
      expect(values).toEqual([1, 1])
      expect(unreadable.length).toBeGreaterThan(0)
      expect(new Set(unreadable)).toEqual(new Set(['k']))
      expect(codes.filter((code) => code === 'CACHE_WARN_UNREADABLE').length).toBeLessThanOrEqual(2)
      expect(codes).toContain('CACHE_WARN_UNREADABLE')
      await using late = processes(keys)
      expect(await late.caches[0].get('k')).toBeUndefined()
      expect(await a.getOrSet('k', never)).toBe('mine')
    })
  }

  it('are misses for a process with another key or none, which then loads for all that can read it', async () => {
    await using fleet = processes([key('a')], [key('a')], undefined)
    const [a, b, c] = fleet.caches
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    await a.set('k', 'a')
    expect((await b.getMany(['k'])).size).toBe(0)
    expect((await c.getMany(['k'])).size).toBe(0)
    expect(await b.getOrSet('k', () => 'b')).toBe('b')
    expect(await c.getOrSet('k', () => 'c')).toBe('c')
    expect(warn).toHaveBeenCalled()
    warn.mockRestore()
    expect(c.health().status).toBe('ok')
  })

  it('count for the limit as they are before they are encrypted', async () => {
    const encryption = [key('a')]
    const l2 = { ...patient, maxEntryBytes: 1_000, encryption }
    await using cache = createCache({ name: 'limited', redis, l2 })
    await using other = createCache({ name: 'limited', redis, l2 })
    const fits = 'x'.repeat(990)
    await cache.set('fits', fits, { mustFit: true })
    expect(await other.get('fits')).toBe(fits)
    await expect(cache.set('large', 'x'.repeat(1_100), { mustFit: true })).rejects.toMatchObject({
      code: 'CACHE_ERR_TOO_LARGE',
    })
  })
})
