import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  concurrency,
  createRateLimiter,
  fixedWindow,
  gcra,
  quota,
  type RateLimiter,
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
// ioredis has it, though its types do not.
const callsOf = (client: Redis) =>
  vi.spyOn(client as unknown as { evalshaBuffer(): Promise<unknown> }, 'evalshaBuffer')
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

  it.each<[string, (limiter: RateLimiter<'api'>) => Promise<unknown>]>([
    ['refund', (limiter) => limiter.refund('user:1')],
    ['reset', (limiter) => limiter.reset('user:1')],
    ['new limit', (limiter) => limiter.setLimit('user:1', 'api', 2)],
    ['block that is lifted', (limiter) => limiter.block('user:1', 0).then(() => limiter.refund('user:1'))],
    [
      'reservation that is released',
      async (limiter) => {
        await limiter.refund('user:1')
        const reserved = await limiter.reserve('user:1')
        await limiter.check('user:1')
        expect((await limiter.check('user:1')).source).toBe('cache')
        await reserved.release()
      },
    ],
  ])('answers denials from memory until they end, and asks again after a %s', async (_change, change) => {
    await using limiter = createRateLimiter({
      ...fresh(),
      denyCache: { maxAge: '1h' },
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
    })
    await limiter.check('user:1')
    expect((await limiter.check('user:1')).source).toBe('redis')
    expect((await limiter.check('user:1')).source).toBe('cache')
    await change(limiter)
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

  it.each([
    gcra({ limit: 50, per: '1s', burst: 2 }),
    tokenBucket({ capacity: 2, per: 40, style: 'interval' }),
    fixedWindow({ limit: 2, per: 40 }),
    slidingWindow({ limit: 2, per: 40 }),
    slidingLog({ limit: 2, per: 40 }),
  ])('never denies from memory longer than Redis would ($algorithm)', async (api) => {
    await using limiter = createRateLimiter({ ...fresh(), policies: { api } })
    let cached = 0
    while (cached < 150) {
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

  it('sends the decisions of one turn together, 256 in a call, in their order and all policies at once', async () => {
    const client = new Redis(server.url)
    const calls = callsOf(client)
    try {
      await using limiter = createRateLimiter({
        ...fresh(),
        redis: client,
        onError: 'open',
        policies: {
          a: gcra({ limit: 600, per: '1h' }),
          b: fixedWindow({ limit: 400, per: '1h' }),
          c: slidingLog({ limit: 600, per: '1h' }),
        },
      })
      await limiter.peek('warm')
      calls.mockClear()
      const decisions = await limiter.checkMany(Array.from({ length: 600 }, () => ({ subject: 'user:1' })))
      expect(calls).toHaveBeenCalledTimes(3)
      expect(decisions.map(({ allowed }) => allowed)).toEqual(Array.from({ length: 600 }, (_, i) => i < 400))
      expect(decisions.every(({ source }) => source === 'redis')).toBe(true)
    } finally {
      client.disconnect()
    }
  })

  it('gives out turns across processes with one question each, and takes back those of whoever leaves', async () => {
    const options = { ...fresh(), onError: 'open', policies: { api: gcra({ limit: 1, per: '1h' }) } } as const
    const HOUR = 3_600_000
    const clients = [new Redis(server.url), new Redis(server.url)] as const
    const calls = callsOf(clients[0])
    await using one = createRateLimiter({ ...options, redis: clients[0] })
    await using two = createRateLimiter({ ...options, redis: clients[1] })
    try {
      expect((await one.acquire('job')).allowed).toBe(true)
      const denied = await one.acquire('job', { maxWait: '1m' })
      expect(denied.allowed).toBe(false)
      expect(denied.retryAfter).toBeLessThanOrEqual(HOUR)
      const leaving = new AbortController()
      const second = one.acquire('job', { maxWait: '1h', signal: leaving.signal })
      // Asked behind it on the same connection.
      await one.peek('other')
      const third = await two.acquire('job', { maxWait: '1h' })
      expect(third.allowed).toBe(false)
      expect(third.retryAfter).toBeGreaterThan(HOUR)
      leaving.abort(new Error('changed my mind'))
      await expect(second).rejects.toThrow('changed my mind')
      expect(calls).toHaveBeenCalledTimes(4)
      const again = two.acquire('job', { maxWait: '1h' })
      await two.peek('other')
      expect((await one.peek('job')).retryAfter).toBeGreaterThan(HOUR)
      await Promise.all([expect(again).rejects.toMatchObject({ code: 'LIMIT_ERR_ABANDONED' }), two.close()])
      expect((await one.peek('job')).retryAfter).toBeLessThanOrEqual(HOUR)
    } finally {
      for (const client of clients) client.disconnect()
    }
  })

  it.each([
    gcra({ limit: 10, per: '1h' }),
    tokenBucket({ capacity: 10, per: '1h', style: 'interval' }),
    fixedWindow({ limit: 10, per: '1h' }),
    slidingWindow({ limit: 10, per: '365d' }),
    slidingLog({ limit: 10, per: '1h' }),
    quota({ limit: 10, period: 'year' }),
  ])('settles a reservation at less, at more, or gives it back ($algorithm)', async (api) => {
    await using limiter = createRateLimiter({ ...fresh(), policies: { api } })
    const left = async () => (await limiter.peek('user')).policies.api?.remaining
    const first = await limiter.reserve('user', { cost: 6 })
    expect((await limiter.reserve('user', { cost: 6 })).allowed).toBe(false)
    await first.commit(1)
    expect(await left()).toBe(9)
    const second = await limiter.reserve('user', { cost: 2 })
    await second.commit(4)
    await second.release()
    expect(await left()).toBe(5)
    const third = await limiter.reserve('user', { cost: 5 })
    expect([third.allowed, await left()]).toEqual([true, 0])
    await third.release()
    await third.commit(5)
    expect(await left()).toBe(5)
  })

  it('counts on when a policy has another size, and apart where its numbers mean something else', async () => {
    const place = fresh()
    const sizes = [
      { limit: 10, per: '1h' },
      { limit: 20, per: '2h' },
    ] as const
    const limiters = sizes.map((size) =>
      createRateLimiter({
        ...place,
        policies: {
          gcra: gcra(size),
          fixed: fixedWindow(size),
          sliding: slidingWindow({ ...size, per: size.per === '1h' ? '365d' : '730d' }),
          log: slidingLog(size),
          algorithm: size.limit === 10 ? gcra(size) : fixedWindow(size),
        },
      }),
    ) as [RateLimiter<string>, RateLimiter<string>]
    const [old, next] = limiters
    for (let call = 0; call < 5; call++) for (const limiter of limiters) await limiter.check('user')
    const left = async (limiter: RateLimiter<string>) =>
      Object.entries((await limiter.peek('user')).policies).map(([name, policy]) => [name, policy?.remaining])
    // During a deployment both ask.
    expect(await left(old)).toEqual([
      ['gcra', 0],
      ['fixed', 0],
      ['sliding', 5],
      ['log', 5],
      ['algorithm', 5],
    ])
    expect(await left(next)).toEqual([
      ['gcra', 10],
      ['fixed', 10],
      ['sliding', 15],
      ['log', 15],
      ['algorithm', 15],
    ])
    await Promise.all(limiters.map((limiter) => limiter.close()))
  })

  it('keeps what takes longer than Redis can count to come back for a century', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: {
        gcra: gcra({ limit: 1e9, per: '3650d' }),
        drops: tokenBucket({ capacity: 1e9, refill: 0.001, per: '1h', style: 'interval' }),
      },
    })
    await limiter.penalty('user', 1e9)
    await limiter.setLimit('user', 'gcra', 5)
    expect(await limiter.check('user')).toMatchObject({ allowed: false, source: 'redis', reason: 'limit' })
    const keys = await redis.keys(`${options.prefix}:{*}:user:*`)
    expect(keys).toHaveLength(2)
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(99 * 365 * 86_400_000)
  })

  it('keeps 32 bytes of a subject per policy, and 16 per charge of a log', async () => {
    const options = fresh()
    await using limiter = createRateLimiter({
      ...options,
      policies: {
        gcra: gcra({ limit: 10, per: '1h' }),
        bucket: tokenBucket({ capacity: 10, per: '1h' }),
        interval: tokenBucket({ capacity: 10, per: '1h', style: 'interval' }),
        fixed: fixedWindow({ limit: 10, per: '1h' }),
        sliding: slidingWindow({ limit: 10, per: '1h' }),
        yearly: quota({ limit: 10, period: 'year' }),
        log: slidingLog({ limit: 10, per: '1h' }),
      },
    })
    for (let call = 0; call < 3; call++) await limiter.check('user')
    for (const key of await redis.keys(`${options.prefix}:{*}:user:*`)) {
      const values = key.includes(':log:')
        ? await redis.lrangeBuffer(key, 0, -1)
        : [await redis.getBuffer(key)]
      const bytes = values.map((value) => value?.length)
      expect([key, bytes]).toEqual([key, key.includes(':log:') ? [32, 16, 16, 16] : [32]])
    }
  })

  it('lets checks alone spend a lease: all else is decided by Redis', async () => {
    await using limiter = createRateLimiter({
      ...fresh(),
      heartbeat: 500,
      lease: { maxAge: '1m' },
      policies: { api: gcra({ limit: 10_000, per: '1h' }) },
    })
    await expect.poll(async () => (await limiter.check('hot')).source).toBe('lease')
    expect((await limiter.peek('hot')).source).toBe('redis')
    expect((await limiter.acquire('hot')).source).toBe('redis')
    await using reserved = await limiter.reserve('hot')
    expect(reserved.decision.source).toBe('redis')
  })

  it('gives back what was charged for a caller who left, before it is closed', async () => {
    const options = { ...fresh(), policies: { api: gcra({ limit: 10, per: '1h' }) } }
    const limiter = createRateLimiter(options)
    await limiter.check('waited-for', { cost: 10 })
    const waiting = limiter.acquire('waited-for', { cost: 4, maxWait: '2h' })
    // Until Redis has given out the turn.
    await expect.poll(async () => (await limiter.peek('waited-for')).retryAfter).toBeGreaterThan(360_000)
    const aborted = new AbortController()
    const asked = limiter.reserve('asked', { cost: 4, signal: aborted.signal })
    // Sent by now, and not answered: answers are read in another part of a turn.
    await new Promise((resolve) => setImmediate(resolve))
    aborted.abort(new Error('gone'))
    const ends = Promise.all([
      expect(asked).rejects.toThrow('gone'),
      expect(waiting).rejects.toMatchObject({ code: 'LIMIT_ERR_ABANDONED' }),
    ])
    await limiter.close()
    await ends
    await using observer = createRateLimiter(options)
    expect((await observer.peek('asked')).policies.api?.remaining).toBe(10)
    expect((await observer.peek('waited-for')).retryAfter).toBeLessThanOrEqual(360_000)
  })

  it('survives SCRIPT FLUSH', async () => {
    await using limiter = createRateLimiter({ ...fresh(), policies: { api: gcra({ limit: 10, per: '1h' }) } })
    await limiter.check('user:1')
    await server.flushScripts()
    expect(await limiter.check('user:1')).toMatchObject({ allowed: true, source: 'redis' })
    expect((await limiter.peek('user:1')).policies.api?.remaining).toBe(8)
  })
})
