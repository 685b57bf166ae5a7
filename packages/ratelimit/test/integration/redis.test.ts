import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  concurrency,
  createRateLimiter,
  fixedWindow,
  gcra,
  quota,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from '../../src/index.ts'

let server: StandaloneRedis
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis?.disconnect()
  await server?.close()
})

let prefix = 0
const fresh = () => ({ redis, prefix: `t${++prefix}`, timeout: '30s' }) as const

describe('a limiter with Redis', () => {
  it('decides all policies at once, and charges none of them for a denial', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      denyCache: false,
      policies: {
        strict: gcra({ limit: 1, per: '1h' }),
        bucket: tokenBucket({ capacity: 100, per: '1h' }),
        step: tokenBucket({ capacity: 100, per: '1h', style: 'interval' }),
        fixed: fixedWindow({ limit: 100, per: '1h' }),
        sliding: slidingWindow({ limit: 100, per: '1h' }),
        log: slidingLog({ limit: 100, per: '1h' }),
        daily: quota({ limit: 100, period: 'year' }),
      },
    })
    const decisions = await limiter.checkMany(Array.from({ length: 20 }, () => ({ subject: 'user:1' })))
    expect(decisions.filter((decision) => decision.allowed)).toHaveLength(1)
    expect(decisions.every((decision) => decision.source === 'redis')).toBe(true)
    const { policies } = await limiter.peek('user:1')
    for (const [name, policy] of Object.entries(policies)) {
      expect([name, policy.remaining]).toEqual([name, name === 'strict' ? 0 : 99])
    }
  })

  it('gives every key a time to live, of windows shorter than a second too', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: {
        a: gcra({ limit: 1, per: '1h' }),
        b: slidingLog({ limit: 1, per: '1h' }),
        c: fixedWindow({ limit: 1, per: '1h' }),
      },
    })
    await limiter.check('user:1')
    await limiter.setLimit('user:2', 'b', 5)
    await limiter.block('user:3', '1m')
    const keys = await redis.keys(`${options.prefix}:*`)
    expect(keys.length).toBeGreaterThanOrEqual(7)
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0)
    const short = fresh()
    await using quick = createRateLimiter({
      ...short,
      policies: {
        a: gcra({ limit: 1, per: 500 }),
        b: slidingLog({ limit: 1, per: 500 }),
        c: fixedWindow({ limit: 1, per: 500 }),
      },
    })
    await quick.check('user:1')
    await expect.poll(() => redis.keys(`${short.prefix}:{*}:user:1:*`)).toEqual([])
  })

  it('keeps every key at least until its subject is as good as new', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: {
        gcra: gcra({ limit: 10, per: '1m' }),
        step: tokenBucket({ capacity: 10, refill: 2, per: '1m', style: 'interval' }),
        fixed: fixedWindow({ limit: 10, per: '1h' }),
        sliding: slidingWindow({ limit: 10, per: '1m' }),
        log: slidingLog({ limit: 10, per: '1m' }),
        yearly: quota({ limit: 10, period: 'year' }),
      },
    })
    await limiter.check('user:1', { cost: 9 })
    await limiter.setLimit('user:1', 'gcra', 1)
    const { policies } = await limiter.peek('user:1')
    const keys = await redis.keys(`${options.prefix}:{*}:user:1:*`)
    expect(keys).toHaveLength(6)
    for (const key of keys) {
      const name = key.split(':').at(-2) as keyof typeof policies
      expect(await redis.pttl(key), key).toBeGreaterThanOrEqual((policies[name]?.resetAfter ?? Infinity) - 5)
    }
  })

  it('puts off the expiry of a key when a later charge needs it, and never brings it forward', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: { api: gcra({ limit: 1_000, per: '1s', plans: { slow: { limit: 1, burst: 1_000 } } }) },
    })
    await limiter.check('user:1')
    const [key = ''] = await redis.keys(`${options.prefix}:{*}:user:1:*`)
    expect(await redis.pttl(key)).toBeLessThan(10_000)
    const { policies } = await limiter.check('user:1', { cost: 500, plan: 'slow' })
    const needed = policies.api?.resetAfter ?? Number.POSITIVE_INFINITY
    expect(needed).toBeGreaterThan(400_000)
    // What a busy machine takes between the two questions is less than the margin of a key's life.
    expect(await redis.pttl(key)).toBeGreaterThanOrEqual(needed - 30_000)
    for (let call = 0; call < 3; call++) await limiter.check('user:1')
    expect(await redis.pttl(key)).toBeGreaterThanOrEqual(needed - 30_000)
  })

  it('answers denials from memory until they end, and asks again after a change', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      denyCache: { maxAge: '1h' },
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
    })
    await limiter.check('user:1')
    expect((await limiter.check('user:1')).source).toBe('redis')
    expect((await limiter.check('user:1')).source).toBe('cache')
    await limiter.refund('user:1')
    expect(await limiter.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('sees a reset by another process after maxAge at the latest', async () => {
    const options = {
      ...fresh(),
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
      denyCache: { maxAge: 200 },
    }
    await using one = createRateLimiter(options)
    await using other = createRateLimiter(options)
    await one.check('user:1')
    await expect.poll(async () => (await one.check('user:1')).source).toBe('cache')
    await other.reset('user:1')
    await expect.poll(() => one.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('never denies from memory longer than Redis would', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      policies: { api: gcra({ limit: 50, per: '1s', burst: 2 }) },
    })
    let cached = 0
    while (cached < 500) {
      const asked = performance.now()
      const decision = await limiter.check('user:1')
      if (decision.source !== 'cache') continue
      cached++
      const { retryAfter } = await limiter.peek('user:1')
      expect(asked + decision.retryAfter).toBeLessThanOrEqual(performance.now() + retryAfter + 0.01)
    }
  })

  it('answers a cost smaller than the denied one as its own arithmetic says', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      denyCache: { maxAge: '1h' },
      policies: { api: fixedWindow({ limit: 10, per: '1h' }) },
    })
    await limiter.check('user:1', { cost: 9 })
    expect((await limiter.check('user:1', { cost: 5 })).allowed).toBe(false)
    expect(await limiter.check('user:1', { cost: 2 })).toMatchObject({ allowed: false, source: 'cache' })
    expect(await limiter.check('user:1', { cost: 1 })).toMatchObject({ allowed: true, source: 'redis' })
  })

  it.each([{ stringNumbers: true }, { keyPrefix: 'app:' }, { enableAutoPipelining: true }])(
    'works on a client set to %o',
    async (settings) => {
      const client = new Redis(server.url, settings)
      try {
        const options = { ...fresh(), redis: client, heartbeat: 50 }
        const policies = { a: gcra({ limit: 2, per: '1h' }), b: slidingLog({ limit: 9, per: '1h' }) }
        await using limiter = createRateLimiter({ ...options, policies })
        const decisions = await limiter.checkMany([{ subject: 'a' }, { subject: 'a' }, { subject: 'a' }])
        expect(decisions.map(({ allowed, source }) => [allowed, source])).toEqual([
          [true, 'redis'],
          [true, 'redis'],
          [false, 'redis'],
        ])
        expect((await limiter.peek('a')).policies.b?.remaining).toBe(7)
        await using other = createRateLimiter({ ...options, policies })
        await other.check('b')
        await expect.poll(() => limiter.health().nodes).toBe(2)
        await using slots = concurrency({
          redis: client,
          prefix: `${options.prefix}s`,
          timeout: '30s',
          limit: 1,
        })
        await using first = await slots.enter('a')
        expect([first.allowed, (await slots.enter('a')).allowed]).toEqual([true, false])
      } finally {
        client.disconnect()
      }
    },
  )

  it('survives SCRIPT FLUSH', async () => {
    await using limiter = createRateLimiter({ ...fresh(), policies: { api: gcra({ limit: 10, per: '1h' }) } })
    await limiter.check('user:1')
    await server.flushScripts()
    expect(await limiter.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
    expect((await limiter.peek('user:1')).policies.api?.remaining).toBe(8)
  })
})
