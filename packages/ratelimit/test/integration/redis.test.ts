import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
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
const fresh = () => ({ redis, prefix: `t${++prefix}`, timeout: '2s' }) as const

describe('a limiter with Redis', () => {
  it('decides all policies at once, and charges none of them for a denial', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      denyCache: false,
      policies: {
        strict: gcra({ limit: 1, per: '1m' }),
        bucket: tokenBucket({ capacity: 100, per: '1m' }),
        step: tokenBucket({ capacity: 100, per: '1m', style: 'interval' }),
        fixed: fixedWindow({ limit: 100, per: '1m' }),
        sliding: slidingWindow({ limit: 100, per: '1h' }),
        log: slidingLog({ limit: 100, per: '1m' }),
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

  it('gives every key a time to live', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: {
        a: gcra({ limit: 1, per: 500 }),
        b: slidingLog({ limit: 1, per: 500 }),
        c: fixedWindow({ limit: 1, per: 500 }),
      },
    })
    await limiter.check('user:1')
    await limiter.setLimit('user:2', 'b', 5)
    await limiter.block('user:3', '1m')
    const keys = await redis.keys(`${options.prefix}:*`)
    expect(keys.length).toBeGreaterThanOrEqual(7)
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0)
  })

  it('answers denials from memory until they end, and asks again after a change', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      policies: { api: fixedWindow({ limit: 1, per: '1m' }) },
    })
    await limiter.check('user:1')
    expect((await limiter.check('user:1')).source).toBe('redis')
    expect((await limiter.check('user:1')).source).toBe('cache')
    await limiter.refund('user:1')
    expect(await limiter.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('survives SCRIPT FLUSH', async () => {
    await using limiter = createRateLimiter({ ...fresh(), policies: { api: gcra({ limit: 10, per: '1m' }) } })
    await limiter.check('user:1')
    await server.flushScripts()
    expect(await limiter.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
    expect((await limiter.peek('user:1')).policies.api?.remaining).toBe(8)
  })
})
