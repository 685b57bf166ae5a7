import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Cache, type CacheOptions, createCache, type Schema } from '../../src/index.ts'
import { pastTheBound, patient, pause, until } from '../fleet.ts'

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

/** Two processes' caches of one name. */
function two(options: Partial<CacheOptions> = {}): { a: Cache; b: Cache } & AsyncDisposable {
  const l2 = { ...patient, ...options.l2 }
  const common = { name: `redis${++serial}`, redis, ttl: '1h', jitter: 0, ...options, l2 } as const
  const a = createCache(common)
  const b = createCache(common)
  return {
    a,
    b,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([a.close(), b.close()])
    },
  }
}

const never = () => Promise.reject(new Error('must not load'))

describe('the second tier', () => {
  it('gives a value the types it had, on a miss, from memory and from Redis', async () => {
    await using caches = two()
    const value = {
      at: new Date(0),
      map: new Map([[1n, new Set([undefined])]]),
      bytes: new Uint8Array([1, 2]),
      error: new TypeError('e'),
      missing: undefined,
    }
    const miss = await caches.a.getOrSet('k', () => value)
    const memory = await caches.a.getOrSet('k', never)
    const fromRedis = await caches.b.getOrSet('k', never)
    for (const got of [miss, memory, fromRedis]) expect(got).toStrictEqual(value)
    expect(fromRedis).not.toBe(value)
  })

  it('keeps undefined and null as values', async () => {
    await using caches = two()
    const load = vi.fn(async () => undefined)
    await caches.a.getOrSet('k', load)
    await caches.b.getOrSet('k', load)
    expect(load).toHaveBeenCalledTimes(1)
    expect((await caches.b.getMany(['k', 'other'])).has('k')).toBe(true)
  })

  it('keeps its own time: what is left of the ttl is left in the other process', async () => {
    const ttl = 1_000
    await using caches = two({ ttl })
    const began = performance.now()
    await caches.a.set('k', 1)
    const over = performance.now() + ttl
    await pause(300)
    const found = await caches.b.get('k')
    if (performance.now() < began + ttl) expect(found).toBe(1)
    // Had the other process given it a ttl of its own, it would still be there.
    await until('the ttl is over', () => performance.now() > over)
    expect(caches.b.peek('k')).toBeUndefined()
    await until(
      'Redis has dropped it',
      async () => (await redis.exists(`cays:cache:{${caches.a.name}@1:k}`)) === 0,
    )
  })

  it('serves stale values of other processes while one of them loads', async () => {
    await using caches = two({ staleWhileRevalidate: '1h' })
    await caches.a.set('k', 'old')
    await caches.a.expire('k')
    let release: (value: string) => void = () => {}
    const load = vi.fn(() => new Promise<string>((resolve) => (release = resolve)))
    const reads = await Promise.all([caches.a.getOrSet('k', load), caches.b.getOrSet('k', load)])
    expect(reads).toEqual(['old', 'old'])
    await until('one of them loads', () => load.mock.calls.length === 1)
    release('new')
    await until('the new value is there', async () => (await caches.b.getOrSet('k', load)) === 'new')
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('serves a value within grace of another process when the loader fails', async () => {
    await using caches = two({ grace: '1h' })
    await caches.a.set('k', 'old')
    await caches.a.expire('k')
    expect(await caches.b.getOrSet('k', () => Promise.reject(new Error('down')))).toBe('old')
  })

  it('shows a loader the value of another process that it replaces, with the grace that value has', async () => {
    await using caches = two({ errorBackoff: 0 })
    await caches.a.getOrSet('k', (context) => {
      context.grace('1h')
      return { etag: 'a' }
    })
    await caches.a.expire('k')
    expect(await caches.b.getOrSet('k', () => Promise.reject(new Error('down')))).toEqual({ etag: 'a' })
    const seen = await caches.b.getOrSet('k', ({ previous }) => [previous?.value])
    expect(seen).toEqual([{ etag: 'a' }])
    expect(await redis.pttl(`cays:cache:{${caches.a.name}@1:k}`)).toBeLessThanOrEqual(3_600_000)
  })

  it('loads anew what does not fit the schema of the one who reads, and keeps that for both', async () => {
    await using caches = two()
    const { a, b } = caches
    const schema: Schema<{ v: number }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => (typeof (value as { v?: unknown }).v === 'number' ? {} : { issues: [] }),
      },
    }
    const before = a.define({ name: 's', load: () => ({ v: 'text' as unknown as number }) })
    const after = b.define({
      name: 's',
      schema,
      load: () => ({ v: 2 }),
      loadMany: (ids) => ids.map(() => ({ v: 3 })),
    })
    await Promise.all([before.get(1), before.get(2)])
    expect(await after.get(1)).toEqual({ v: 2 })
    expect(await after.getMany([1, 2])).toEqual([{ v: 2 }, { v: 3 }])
    await using late = two({ name: a.name })
    const fresh = late.a.define({ name: 's', schema, load: never })
    expect(await fresh.getMany([1, 2])).toEqual([{ v: 2 }, { v: 3 }])
  })

  it('keeps long values compressed, and reads them with any setting', async () => {
    await using caches = two({ l2: { compressOver: 1_000 } })
    const value = { text: 'long '.repeat(10_000), at: new Date(0) }
    await caches.a.getOrSet('loaded', () => value)
    await caches.a.set('set', value)
    for (const key of ['loaded', 'set']) {
      expect(await redis.strlen(`cays:cache:{${caches.a.name}@1:${key}}`)).toBeLessThan(500)
    }
    await using plain = two({ name: caches.a.name })
    expect(await plain.b.get('loaded')).toStrictEqual(value)
    expect([...(await plain.a.getMany(['loaded', 'set'])).values()]).toStrictEqual([value, value])
  })

  it('loads a value early in one of the processes, while all are served the one they have', async () => {
    const draw = vi.spyOn(Math, 'random').mockReturnValue(1 - Math.exp(-1_000_000))
    try {
      // The draw makes every moment early enough.
      await using caches = two({ earlyRefresh: 100 })
      let release: (value: string) => void = () => {}
      let loads = 0
      await caches.a.getOrSet('k', async () => {
        await pause(20)
        return 'old'
      })
      const load = () => {
        loads++
        return new Promise<string>((resolve) => (release = resolve))
      }
      expect(await caches.b.getOrSet('k', load)).toBe('old')
      expect(await caches.b.getOrSet('k', load)).toBe('old')
      expect(await caches.a.getOrSet('k', load)).toBe('old')
      await until('one of them loads', () => loads === 1)
      draw.mockReturnValue(0)
      release('new')
      await until('it is there', async () => (await caches.b.getOrSet('k', load)) === 'new')
      expect(loads).toBe(1)
    } finally {
      draw.mockRestore()
    }
  })

  it('fetches many keys in one round trip', async () => {
    await using caches = two()
    await Promise.all(Array.from({ length: 100 }, (_, i) => caches.a.set(`k${i}`, i)))
    await caches.b.get('warm')
    const pipeline = vi.spyOn(redis, 'pipeline')
    const evalsha = vi.spyOn(redis, 'evalsha')
    try {
      const found = await caches.b.getMany(Array.from({ length: 100 }, (_, i) => `k${i}`))
      expect([...found.values()]).toEqual(Array.from({ length: 100 }, (_, i) => i))
      expect(
        pipeline.mock.calls.map(([commands]) => commands?.map(([name, ...rest]) => [name, rest.length])),
      ).toEqual([
        [
          ['mget', 100],
          ['evalsha', 2],
        ],
      ])
      // One at most asks for news; none asks for a value.
      expect(evalsha.mock.calls.filter(([, , key]) => String(key).includes(':k'))).toEqual([])
    } finally {
      pipeline.mockRestore()
      evalsha.mockRestore()
    }
  })

  it('loads what nobody has in one call, also when several processes ask', async () => {
    await using caches = two()
    const asked: string[] = []
    const loadMany = async (keys: readonly string[]) => {
      asked.push(...keys)
      await pause(50)
      return keys.map((key) => key.toUpperCase())
    }
    const values = await Promise.all([
      caches.a.getOrSetMany(['x', 'y', 'z'], loadMany),
      caches.b.getOrSetMany(['x', 'y', 'z'], loadMany),
    ])
    expect(values).toEqual([
      ['X', 'Y', 'Z'],
      ['X', 'Y', 'Z'],
    ])
    expect(asked.sort()).toEqual(['x', 'y', 'z'])
  })

  it('keeps a value too large for Redis in memory only, says so once, and refuses it on request', async () => {
    await using caches = two({ l2: { maxEntryBytes: 1000 } })
    const big = 'x'.repeat(2000)
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(await caches.a.getOrSet('loaded', () => big)).toBe(big)
    await caches.a.set('set', big)
    expect(warn.mock.calls.map(([, options]) => options)).toEqual([
      { type: 'CaysCacheWarning', code: 'CACHE_WARN_ENTRY_BYTES' },
    ])
    warn.mockRestore()
    expect([caches.a.peek('loaded'), caches.a.peek('set')]).toEqual([big, big])
    expect(await caches.b.get('loaded')).toBeUndefined()
    expect(await caches.b.get('set')).toBeUndefined()
    await caches.a.set('small', 'before')
    await expect(caches.a.set('small', big, { mustFit: true })).rejects.toMatchObject({
      code: 'CACHE_ERR_TOO_LARGE',
    })
    expect(await caches.a.get('small')).toBe('before')
    expect(await caches.b.get('small')).toBe('before')
  })

  it('says so when a value cannot keep its type, and holds up nobody', async () => {
    await using caches = two()
    class User {}
    await expect(caches.a.getOrSet('k', () => new User())).rejects.toMatchObject({ code: 'CACHE_ERR_VALUE' })
    expect(await caches.b.getOrSet('k', () => 'plain')).toBe('plain')
    await expect(caches.a.set('k', () => {})).rejects.toMatchObject({ code: 'CACHE_ERR_VALUE' })
  })

  it('tells keys apart that UTF-8 cannot', async () => {
    await using caches = two()
    await caches.a.set('a\ud800', 1)
    expect(await caches.b.get('a\ud801')).toBeUndefined()
    expect(await caches.b.getOrSet('a\ud801', () => 2)).toBe(2)
    await using later = two({ name: caches.a.name })
    expect(await later.a.getMany(['a\ud800', 'a\ud801', 'a\ufffd'])).toEqual(
      new Map([
        ['a\ud800', 1],
        ['a\ud801', 2],
      ]),
    )
  })

  it('loads anew, and goes on, when somebody has written nonsense into the value of a key', async () => {
    await using caches = two({ l2: { failures: 1 } })
    const { a, b } = caches
    const at = `cays:cache:{${a.name}@1:k}`
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    for (const [i, damage] of [
      () => 'nonsense',
      (raw: string) => raw.replace(/^1\d{13}/, '1soon-and-ever'),
      (raw: string) => raw.slice(0, -1),
      (raw: string) => raw.replace('\nj', '\nt'),
      (raw: string) => raw.replace(/\|\d+\|.*\n./, '|9007199254740993|["k"]\nx'),
    ].entries()) {
      await a.set('k', { i })
      await redis.set(at, damage((await redis.get(at)) ?? ''))
      await b.invalidate('other')
      await using late = createCache({ name: a.name, redis, l2: { ...patient, failures: 1 } })
      expect(await late.get('k')).toBeUndefined()
      expect(await late.getOrSet('k', () => 'anew')).toBe('anew')
      expect(late.health().redis?.state).toBe('up')
    }
    warn.mockRestore()
  })

  it('shares nothing between versions and names', async () => {
    await using one = createCache({ name: 'versioned', version: 1, redis, l2: patient })
    await using next = createCache({ name: 'versioned', version: 2, redis, l2: patient })
    await one.set('k', 1)
    expect(await next.get('k')).toBeUndefined()
  })

  it('survives a flush of the scripts', async () => {
    await using caches = two()
    await caches.a.set('k', 1)
    await server.flushScripts()
    expect(await caches.b.get('k')).toBe(1)
    expect(await caches.b.invalidate('k')).toBe('fleet')
  })

  it('keeps the newest of sets made in several processes', async () => {
    await using caches = two({ sync: { maxStaleness: 200 } })
    for (let i = 0; i < 50; i++) {
      await Promise.all([caches.a.set('k', `a${i}`), caches.b.set('k', `b${i}`)])
    }
    await pastTheBound(200)
    const [a, b] = await Promise.all([caches.a.get('k'), caches.b.get('k')])
    expect(a).toBe(b)
  })

  it('sends nothing to Redis while nobody uses it', async () => {
    await using caches = two({ sync: { maxStaleness: 100 } })
    await caches.a.set('k', 1)
    const evalsha = vi.spyOn(redis, 'evalsha')
    try {
      await until('it is quiet', async () => {
        const before = evalsha.mock.calls.length
        await pause(200)
        return evalsha.mock.calls.length === before
      })
      evalsha.mockClear()
      const total = async () => Number((await server.info()).get('total_commands_processed'))
      const [first, second] = [await total(), await total()]
      await pause(400)
      // Nothing but the question itself, by the server's own count.
      expect((await total()) - second).toBe(second - first)
      expect(evalsha).not.toHaveBeenCalled()
    } finally {
      evalsha.mockRestore()
    }
  })

  it('holds a lease for longer than it lasts, as long as the loader runs', async () => {
    await using caches = two({ l2: { lease: '6s' } })
    let release: (value: number) => void = () => {}
    const load = vi.fn(() => new Promise<number>((resolve) => (release = resolve)))
    const values = Promise.all([caches.a.getOrSet('k', load), caches.b.getOrSet('k', load)])
    await until('it loads', () => load.mock.calls.length === 1)
    let left = Number.POSITIVE_INFINITY
    await until('the lease has more time than it had', async () => {
      const before = left
      left = await redis.pttl(`cays:cache:{${caches.a.name}@1:k}:l`)
      return left > before
    })
    release(1)
    expect(await values).toEqual([1, 1])
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('tells other processes of a failed load, for as long as the back-off lasts', async () => {
    await using caches = two({ errorBackoff: '1h' })
    await expect(caches.a.getOrSet('k', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    await expect(caches.b.getOrSet('k', () => 1)).rejects.toMatchObject({
      code: 'CACHE_ERR_LOAD_BACKOFF',
      retryable: true,
    })
    const left = await redis.pttl(`cays:cache:{${caches.a.name}@1:k}:l`)
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(3_600_000)
    await using brief = two({ errorBackoff: 100 })
    await expect(brief.a.getOrSet('k', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    await until('it is over', async () => (await brief.b.getOrSet('k', () => 1).catch(() => 0)) === 1)
  })

  it('works with no more rights than it names', async () => {
    await using limited = await connectAs('cache', ['&cays:cache:*'], [...NEEDED, ...OPTIONAL])
    const { redis: own } = limited
    await using cache = createCache({ name: 'limited', redis: own, l2: patient })
    await using other = createCache({ name: 'limited', redis, l2: patient })
    expect(await cache.getOrSet('k', () => 1, { tags: ['t'] })).toBe(1)
    expect(await other.get('k')).toBe(1)
    await until('pub/sub is up', () => cache.health().redis?.subscribed === true)
    expect(await cache.set('s', 1)).toBe('fleet')
    expect(await cache.expire('s')).toBe('fleet')
    expect(await cache.invalidate('s')).toBe('fleet')
    expect(await cache.invalidateTags('t')).toBe('fleet')
    expect(await cache.getMany(['k', 's'])).toEqual(new Map())
    expect(await cache.clear()).toBe('fleet')
    expect(cache.health().redis?.lastError).toBeUndefined()
  })

  it('keeps its epoch though one process may ask for INFO and another one may not', async () => {
    await using limited = await connectAs(
      'uninformed',
      ['&cays:cache:*'],
      [...NEEDED, 'publish', 'subscribe'],
    )
    const sync = { maxStaleness: 100 } as const
    await using cache = createCache({ name: 'mixed', redis: limited.redis, sync, l2: patient })
    await using other = createCache({ name: 'mixed', redis, sync, l2: patient })
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    let version = 1
    const load = async () => version
    const epoch = () => redis.hget('cays:cache:{mixed@1}', 'e')
    // Which of the two comes first does not matter: once the informed one has come, there is an epoch to keep.
    for (const one of [cache, other]) await one.getOrSet('k', load)
    const before = await epoch()
    for (let round = 0; round < 3; round++) {
      await pastTheBound(100)
      version++
      expect(await (round % 2 === 0 ? cache : other).invalidate('k')).toBe('fleet')
      await pastTheBound(100)
      for (const one of [cache, other]) expect(await one.getOrSet('k', load)).toBe(version)
    }
    expect(await epoch()).toBe(before)
    expect(warn.mock.calls.map(([, options]) => (options as { code?: string }).code)).toEqual([
      'CACHE_WARN_INFO',
    ])
    warn.mockRestore()
  })

  it('goes on without what it can do without, and says so once', async () => {
    const warnings: string[] = []
    const listen = (warning: Error & { code?: string }) => warnings.push(String(warning.code))
    process.on('warning', listen)
    try {
      await using limited = await connectAs('strict', [], NEEDED, ['-client|tracking'])
      const sync = { maxStaleness: 100, tracking: true } as const
      await using cache = createCache({ name: 'strict', redis: limited.redis, sync, l2: patient })
      await using other = createCache({ name: 'strict', redis, sync: { maxStaleness: 100 }, l2: patient })
      let version = 1
      const load = async () => version
      expect(await cache.getOrSet('k', load)).toBe(1)
      expect(await other.getOrSet('k', load)).toBe(1)
      version = 2
      expect(await cache.invalidate('k')).toBe('fleet')
      await pastTheBound(100)
      expect(await other.getOrSet('k', load)).toBe(2)
      await until('it has said so', async () => {
        await cache.get('k')
        return warnings.length >= 3
      })
      for (let i = 0; i < 3; i++) {
        await pastTheBound(100)
        await cache.get('k')
      }
      expect(warnings.filter((code) => code.startsWith('CACHE_')).sort()).toEqual([
        'CACHE_WARN_INFO',
        'CACHE_WARN_PUBSUB',
        'CACHE_WARN_TRACKING',
      ])
      expect(cache.health()).toMatchObject({ status: 'ok', redis: { subscribed: false, tracking: false } })
    } finally {
      process.off('warning', listen)
    }
  })
})

/** The commands that README names. */
const NEEDED: readonly string[] = [
  ...['evalsha', 'eval', 'get', 'mget', 'set', 'del', 'exists', 'setrange', 'pexpire', 'pttl', 'persist'],
  ...['hset', 'hmget', 'hincrby', 'xadd', 'xrange', 'time'],
]
const OPTIONAL: readonly string[] = ['info', 'publish', 'subscribe']

async function connectAs(
  user: string,
  channels: readonly string[],
  commands: readonly string[],
  rules: readonly string[] = [],
): Promise<{ readonly redis: Redis } & AsyncDisposable> {
  const connection = ['hello', 'client', 'ping', 'auth']
  const allowed = [...commands, ...connection].map((command) => `+${command}`)
  await server.acl(user, 'on', '>secret', '~cays:cache:*', ...channels, '-@all', ...allowed, ...rules)
  const limited = new Redis({
    port: Number(new URL(server.url).port),
    username: user,
    password: 'secret',
    enableReadyCheck: false,
  })
  return { redis: limited, [Symbol.asyncDispose]: async () => limited.disconnect() }
}
