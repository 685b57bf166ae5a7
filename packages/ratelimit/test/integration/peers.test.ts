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

// What was seen to go wrong in other limiters for Node: each is held against this one, without Redis and with.

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

const ALGORITHMS = {
  gcra: gcra({ limit: 10, per: '1h' }),
  bucket: tokenBucket({ capacity: 10, per: '1h' }),
  interval: tokenBucket({ capacity: 10, per: '1h', style: 'interval' }),
  fixed: fixedWindow({ limit: 10, per: '1h' }),
  sliding: slidingWindow({ limit: 10, per: '365d' }),
  log: slidingLog({ limit: 10, per: '1h' }),
  yearly: quota({ limit: 10, period: 'year' }),
}
const names = Object.keys(ALGORITHMS) as (keyof typeof ALGORITHMS)[]

let prefix = 0
describe.each(['without Redis', 'with Redis'])('%s', (kind) => {
  const place = () =>
    kind === 'with Redis' ? { redis, prefix: `p${++prefix}`, timeout: '30s' as const } : {}

  it('a window of half a second ends after half a second, and one of 1.5 s is not cut to 1 s', async () => {
    await using limiter = createRateLimiter({
      ...place(),
      policies: { half: fixedWindow({ limit: 1, per: 500 }), odd: fixedWindow({ limit: 1, per: '1.5s' }) },
    })
    const half = { policies: ['half'] } as const
    expect((await limiter.check('user', half)).allowed).toBe(true)
    expect((await limiter.peek('user', half)).policies.half?.retryAfter).toBeLessThanOrEqual(500)
    await expect.poll(async () => (await limiter.check('user', half)).allowed).toBe(true)
    expect((await limiter.check('user', { policies: ['odd'] })).policies.odd?.window).toBe(1_500)
  })

  it.each(names)('a denied cost is not counted, so a smaller one that fits is let in (%s)', async (name) => {
    await using limiter = createRateLimiter({ ...place(), policies: { api: ALGORITHMS[name] } })
    await limiter.check('user', { cost: 9 })
    for (let call = 0; call < 3; call++) {
      expect((await limiter.check('user', { cost: 5 })).allowed).toBe(false)
    }
    expect(await limiter.check('user', { cost: 1 })).toMatchObject({
      allowed: true,
      policies: { api: { remaining: 0 } },
    })
  })

  it('a strict limit that denies leaves nothing charged to a loose one beside it', async () => {
    await using limiter = createRateLimiter({
      ...place(),
      policies: { ...ALGORITHMS, strict: gcra({ limit: 1, per: '1h' }) },
    })
    for (let call = 0; call < 20; call++) await limiter.check('user')
    const { policies } = await limiter.peek('user')
    for (const name of names) expect([name, policies[name]?.remaining]).toEqual([name, 9])
  })

  it('half a unit is a cost, and a denial is a value', async () => {
    await using limiter = createRateLimiter({ ...place(), policies: { api: gcra({ limit: 1, per: '1h' }) } })
    const allowed = []
    for (let call = 0; call < 3; call++) allowed.push((await limiter.check('user', { cost: 0.5 })).allowed)
    expect(allowed).toEqual([true, true, false])
  })

  it('a limit of one admits one, whatever the algorithm', async () => {
    await using limiter = createRateLimiter({ ...place(), policies: ALGORITHMS })
    const limits = Object.fromEntries(names.map((name) => [name, 1]))
    for (const name of names) {
      const check = () => limiter.check('user', { policies: [name], limits: { [name]: limits[name] } })
      expect([name, (await check()).allowed, (await check()).allowed]).toEqual([name, true, false])
    }
  })

  it.each(names)('whoever goes on asking is not locked out for longer (%s)', async (name) => {
    await using limiter = createRateLimiter({
      ...place(),
      denyCache: false,
      policies: { api: ALGORITHMS[name] },
    })
    await limiter.check('user', { cost: 10 })
    let last = Number.POSITIVE_INFINITY
    for (let call = 0; call < 10; call++) {
      const { retryAfter } = await limiter.check('user')
      expect(retryAfter).toBeLessThanOrEqual(last)
      last = retryAfter
    }
  })

  it('a reset is about one subject, and its name is no pattern', async () => {
    await using limiter = createRateLimiter({ ...place(), policies: ALGORITHMS })
    const subjects = ['user*', 'user1', 'user?', 'user[0-9]', '*', 'user{1}']
    for (const subject of subjects) await limiter.check(subject, { cost: 10 })
    await limiter.reset('user*')
    const allowed = []
    for (const subject of subjects) allowed.push((await limiter.check(subject)).allowed)
    expect(allowed).toEqual([true, false, false, false, false, false])
  })
})
