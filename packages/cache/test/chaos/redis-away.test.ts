import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type CacheOptions, createCache } from '../../src/index.ts'
import { pastTheBound, patient, pause, timed, until } from '../fleet.ts'

const TIMEOUT = 200
/** What a busy machine may add to a wait beyond `timed`; the waits this guards against last 10 s and more. */
const SLACK = 1_000

let server: StandaloneRedis
let redis: Redis
let serial = 0

beforeAll(async () => {
  server = await startRedis()
  // ioredis as it comes: offline queue, 20 retries, back-off of seconds.
  redis = new Redis(server.url)
  redis.on('error', () => {})
})

afterEach(async () => {
  if (server.state === 'frozen') await server.thaw()
  if (server.state === 'down') await server.start()
  await until('the client is back', async () => (await redis.ping().catch(() => '')) === 'PONG', 30_000)
})

afterAll(async () => {
  redis?.disconnect()
  await server?.close()
})

function start(options: Partial<CacheOptions> = {}) {
  const l2 = { timeout: TIMEOUT, retryAfter: 300, ...options.l2 }
  return createCache({ name: `away${++serial}`, redis, ttl: '1h', ...options, l2 })
}

for (const fault of ['freeze', 'kill'] as const) {
  describe(`Redis after ${fault}`, () => {
    it('costs a cold read its deadline at most, and nothing once the breaker is open', async () => {
      await using cache = start({ sync: { maxStaleness: '1s' } })
      await cache.getOrSet('warm', () => 1)
      let downs = 0
      cache.on('redis-down', () => downs++)
      await server[fault]()
      let operations = 0
      while (downs === 0) {
        const { value, took } = await timed(() => cache.getOrSet(`cold${operations}`, () => operations))
        expect(value).toBe(operations)
        expect(took).toBeLessThan(TIMEOUT + SLACK)
        operations++
        expect(operations).toBeLessThanOrEqual(5)
      }
      expect(cache.health()).toMatchObject({
        status: 'degraded',
        redis: { state: expect.stringMatching(/down|trying/) },
      })
      const open = await timed(async () => {
        for (let i = 0; i < 100; i++) await cache.getOrSet(`open${i}`, () => i)
      })
      // A single wait for Redis in each would be 20 seconds.
      expect(open.took).toBeLessThan(SLACK)
      expect((await timed(() => cache.getMany(['a', 'b']))).took).toBeLessThan(SLACK)
    })

    it('leaves memory hits as they are while they are confirmed, then loads once per maxStaleness', async () => {
      const maxStaleness = 400
      await using patientOne = start({ sync: { maxStaleness: '1h' } })
      await using cache = start({ sync: { maxStaleness } })
      let loads = 0
      const load = () => ++loads
      await patientOne.getOrSet('hot', () => 'kept')
      await cache.getOrSet('hot', load)
      const began = performance.now()
      await server[fault]()
      expect(patientOne.peek('hot')).toBe('kept')
      await until('it has been loaded again, twice', async () => {
        await cache.getOrSet('hot', load)
        return loads >= 3
      })
      expect(loads).toBeLessThanOrEqual(2 + (performance.now() - began) / maxStaleness)
    })

    it('leaves memory hits as they are for as long as it lasts, with onLost: serve', async () => {
      await using cache = start({ sync: { maxStaleness: 300, onLost: 'serve' } })
      let loads = 0
      const load = () => ++loads
      await cache.getOrSet('hot', load)
      await server[fault]()
      await pause(900)
      for (let i = 0; i < 50; i++) expect(await cache.getOrSet('hot', load)).toBe(1)
      expect(loads).toBe(1)
    })

    it('is reported as over once it is, though nobody uses the cache any more', async () => {
      await using cache = start()
      await cache.getOrSet('warm', () => 1)
      await server[fault]()
      await cache.getOrSet('cold', () => 1)
      expect(cache.health().status).toBe('degraded')
      await (fault === 'freeze' ? server.thaw() : server.start())
      await until('nothing is wrong', () => cache.health().status === 'ok', 20_000)
    })

    it('is in use again two seconds after it is back, with what was pending carried out', async () => {
      await using cache = start({ sync: { maxStaleness: 500 } })
      await cache.set('pending', 'old')
      await cache.set('expiring', 'old')
      await cache.set('tagged', 'old', { tags: ['t'] })
      let ups = 0
      cache.on('redis-up', () => ups++)
      await server[fault]()
      expect(await cache.invalidate('pending')).toBe('queued')
      expect(await cache.expire('expiring')).toBe('queued')
      expect(await cache.invalidateTags('t')).toBe('queued')
      for (let i = 0; i < 5; i++) await cache.get(`cold${i}`)
      await until('the breaker is open', () => cache.health().redis?.state !== 'up')
      await pause(700)
      await (fault === 'freeze' ? server.thaw() : server.start())
      const back = await timed(() => until('in use', () => ups === 1))
      expect(back.took).toBeLessThan(2_000)
      await until('nothing is wrong', () => cache.health().status === 'ok')
      expect(cache.health()).toMatchObject({ redis: { state: 'up', pending: 0 } })
      for (const key of ['pending', 'expiring', 'tagged']) expect(await cache.get(key)).toBeUndefined()
    })
  })
}

describe('more invalidations than the queue holds', () => {
  it('become one clear, which Redis hears of when it is back', async () => {
    await using cache = start({ sync: { maxStaleness: 300 }, l2: { queue: 10 } })
    await using other = createCache({ name: cache.name, redis, sync: { maxStaleness: 300 } })
    await cache.set('bystander', 'old')
    await cache.set('changed', 'old')
    await server.freeze()
    expect(await cache.invalidate('changed')).toBe('queued')
    for (let i = 0; i < 50; i += 10) {
      expect(await cache.invalidate(Array.from({ length: 10 }, (_, n) => `k${i + n}`))).toBe('queued')
      expect(cache.health().redis?.pending).toBeLessThanOrEqual(10)
    }
    expect(cache.health().redis?.pending).toBe(1)
    await server.thaw()
    await until('it is in use', () => cache.health().status === 'ok' && cache.health().redis?.pending === 0)
    await pastTheBound(300)
    for (const one of [cache, other]) {
      for (const key of ['bystander', 'changed']) expect(await one.get(key)).toBeUndefined()
    }
  })
})

describe('Redis that was never there', () => {
  it('does not keep the cache from working', async () => {
    const nobody = new Redis({ port: 1, lazyConnect: true })
    nobody.on('error', () => {})
    await using cache = createCache({ name: 'nobody', redis: nobody, l2: { timeout: TIMEOUT } })
    const { value, took } = await timed(() => cache.getOrSet('k', () => 1))
    expect(value).toBe(1)
    expect(took).toBeLessThan(TIMEOUT + SLACK)
    expect(cache.peek('k')).toBe(1)
    nobody.disconnect()
  })
})

describe('Redis that is full', () => {
  it('takes nothing more, and reads, invalidations and the bound go on', async () => {
    await using cache = start({ sync: { maxStaleness: 300 }, l2: patient })
    await using other = createCache({ name: cache.name, redis, sync: { maxStaleness: 300 }, l2: patient })
    await cache.set('k', 'old')
    await cache.set('tagged', 'old', { tags: ['t'] })
    expect(await other.get('k')).toBe('old')
    expect(await other.get('tagged')).toBe('old')
    await server.config({ 'maxmemory-policy': 'noeviction', maxmemory: '1' })
    try {
      await expect(redis.set('anything', 'x')).rejects.toThrow('OOM')
      expect(await cache.getOrSet('cold', () => 'loaded')).toBe('loaded')
      expect(await cache.invalidate('k')).toBe('fleet')
      expect(await cache.invalidateTags('t')).toBe('fleet')
      expect(await cache.get('tagged')).toBeUndefined()
      await pastTheBound(300)
      expect(await other.get('tagged')).toBeUndefined()
      expect(await other.getOrSet('k', () => 'new')).toBe('new')
      expect(await cache.getOrSet('k', () => 'new')).toBe('new')
      expect(await cache.clear()).toBe('fleet')
      for (let i = 0; i < 20; i++) expect(await cache.getOrSet(`cold${i}`, () => i)).toBe(i)
      expect(cache.health().redis).toMatchObject({ state: 'up', lastError: { code: 'CACHE_ERR_REDIS' } })
    } finally {
      await server.config({ maxmemory: '0' })
    }
  })
})
