import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
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
import { readOptions } from '../../src/options.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-10T12:00:00Z') })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a limiter without Redis', () => {
  it('admits the burst at once, then the steady rate, and says exactly when', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 10, per: '1s', burst: 3 }) } })
    for (let left = 2; left >= 0; left--) {
      const decision = await limiter.check('user:1')
      expect(decision).toMatchObject({ allowed: true, retryAfter: 0, source: 'memory', limitedBy: [] })
      expect(decision.policies.api).toMatchObject({ remaining: left, limit: 10, capacity: 3, window: 1_000 })
    }
    const denied = await limiter.check('user:1')
    expect(denied).toMatchObject({ allowed: false, reason: 'limit', limitedBy: ['api'], retryAfter: 100 })
    await vi.advanceTimersByTimeAsync(99)
    expect((await limiter.check('user:1')).retryAfter).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect((await limiter.check('user:1')).allowed).toBe(true)
  })

  it('charges nothing for a denial, whatever else would have fitted', async () => {
    await using limiter = createRateLimiter({
      policies: { strict: gcra({ limit: 1, per: '1m' }), loose: fixedWindow({ limit: 100, per: '1m' }) },
    })
    for (let attempt = 0; attempt < 20; attempt++) await limiter.check('user:1')
    const { policies } = await limiter.peek('user:1')
    expect(policies.loose?.remaining).toBe(99)
  })

  it('lets a small cost in after a large one was denied', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 10, per: '1m' }) } })
    await limiter.check('user:1', { cost: 9 })
    expect((await limiter.check('user:1', { cost: 5 })).allowed).toBe(false)
    expect((await limiter.check('user:1', { cost: 1 })).allowed).toBe(true)
  })

  it('carries nothing from a window used under a larger plan into the next one', async () => {
    await using limiter = createRateLimiter({
      policies: {
        hourly: fixedWindow({ limit: 10, per: '1h', plans: { pro: 1_000 } }),
        daily: quota({ limit: 100, period: 'day', plans: { pro: 10_000 } }),
      },
    })
    for (const policy of ['hourly', 'daily'] as const) {
      await limiter.check('org:7', { policies: [policy], plan: 'pro', cost: 900 })
      const denied = await limiter.check('org:7', { policies: [policy] })
      expect(denied.allowed).toBe(false)
      await vi.advanceTimersByTimeAsync(denied.retryAfter)
      const { allowed, policies } = await limiter.check('org:7', { policies: [policy] })
      expect([allowed, policies[policy]?.remaining]).toEqual([true, policy === 'hourly' ? 9 : 99])
    }
  })

  it('calls a cost above the capacity never, not later', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 10, per: '1s' }) } })
    expect(await limiter.check('user:1', { cost: 10.001 })).toMatchObject({
      allowed: false,
      reason: 'never',
      retryAfter: Number.POSITIVE_INFINITY,
    })
    expect((await limiter.check('user:1', { cost: 10 })).allowed).toBe(true)
  })

  it('counts fractions of a unit', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1s' }) } })
    const decisions = []
    for (let attempt = 0; attempt < 5; attempt++)
      decisions.push(await limiter.check('user:1', { cost: 0.25 }))
    expect(decisions.map((decision) => decision.allowed)).toEqual([true, true, true, true, false])
    expect(decisions[4]?.retryAfter).toBe(250)
  })

  it('holds windows shorter than a second', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 1, per: 500 }) } })
    expect((await limiter.check('user:1')).allowed).toBe(true)
    expect(await limiter.check('user:1')).toMatchObject({ allowed: false, retryAfter: 500 })
    await vi.advanceTimersByTimeAsync(500)
    expect((await limiter.check('user:1')).allowed).toBe(true)
  })

  it('reports a shadow policy without letting it deny', async () => {
    await using limiter = createRateLimiter({
      policies: { trial: gcra({ limit: 1, per: '1m', mode: 'shadow' }), real: gcra({ limit: 3, per: '1m' }) },
    })
    await limiter.check('user:1')
    const second = await limiter.check('user:1')
    expect(second).toMatchObject({ allowed: true, limitedBy: [], retryAfter: 0 })
    expect(second.policies.trial).toMatchObject({ allowed: false, shadow: true, remaining: 0 })
  })

  it('sizes limits by plan, by call and by subject', async () => {
    await using limiter = createRateLimiter({
      policies: { api: gcra({ limit: 2, per: '1m', plans: { pro: 5 } }) },
    })
    expect((await limiter.peek('user:1')).policies.api?.limit).toBe(2)
    expect((await limiter.peek('user:1', { plan: 'pro' })).policies.api).toMatchObject({
      limit: 5,
      remaining: 5,
    })
    expect((await limiter.peek('user:1', { limits: { api: { limit: 7 } } })).policies.api?.limit).toBe(7)
    // A policy that does not know the plan keeps its own size; with one number a burst keeps its proportion.
    await using two = createRateLimiter({
      policies: {
        plain: gcra({ limit: 3, per: '1m' }),
        planned: gcra({ limit: 2, per: '1m', burst: 4, plans: { pro: 5, team: { limit: 9, burst: 9 } } }),
      },
    })
    const sizes = async (plan: 'pro' | 'team') =>
      Object.values((await two.peek('user:1', { plan })).policies).map(({ limit, capacity }) => [
        limit,
        capacity,
      ])
    expect(await sizes('pro')).toEqual([
      [3, 3],
      [5, 10],
    ])
    expect(await sizes('team')).toEqual([
      [3, 3],
      [9, 9],
    ])
    await limiter.check('user:1')
    await limiter.setLimit('user:1', 'api', 10)
    expect((await limiter.peek('user:1')).policies.api).toMatchObject({
      limit: 10,
      capacity: 10,
      remaining: 9,
    })
    await limiter.setLimit('user:1', 'api', undefined)
    expect((await limiter.peek('user:1')).policies.api).toMatchObject({ limit: 2, remaining: 1 })
  })

  it("forgets a subject's own limit when its time is over", async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 2, per: '1m' }) } })
    await limiter.setLimit('user:1', 'api', 10, { expires: '1h' })
    await vi.advanceTimersByTimeAsync(3_599_999)
    expect((await limiter.peek('user:1')).policies.api?.limit).toBe(10)
    await vi.advanceTimersByTimeAsync(1)
    expect((await limiter.peek('user:1')).policies.api?.limit).toBe(2)
  })

  it('refunds, penalises, blocks and resets', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 5, per: '1m' }) } })
    await limiter.penalty('user:1', 8)
    expect((await limiter.check('user:1')).retryAfter).toBe(4 * 12_000)
    await limiter.refund('user:1', 5)
    expect((await limiter.peek('user:1')).policies.api?.remaining).toBe(2)
    await limiter.block('user:1', '10s')
    expect(await limiter.check('user:1')).toMatchObject({
      allowed: false,
      reason: 'blocked',
      retryAfter: 10_000,
    })
    await limiter.reset('user:1')
    expect((await limiter.peek('user:1')).policies.api?.remaining).toBe(5)
  })

  it('settles a reservation at the actual cost', async () => {
    await using limiter = createRateLimiter({
      policies: { tokens: tokenBucket({ capacity: 1_000, per: '1m' }) },
    })
    const first = await limiter.reserve('user:1', { cost: 600 })
    expect((await limiter.reserve('user:1', { cost: 600 })).allowed).toBe(false)
    await first.commit(100)
    expect((await limiter.peek('user:1')).policies.tokens?.remaining).toBe(900)
    {
      await using second = await limiter.reserve('user:1', { cost: 900 })
      expect(second.allowed).toBe(true)
    }
    expect((await limiter.peek('user:1')).policies.tokens?.remaining).toBe(900)
  })

  it('gives an abandoned reservation back when it expires', async () => {
    await using limiter = createRateLimiter({ policies: { tokens: quota({ limit: 10, period: 'day' }) } })
    await limiter.reserve('user:1', { cost: 10, expires: '1m' })
    expect((await limiter.check('user:1')).allowed).toBe(false)
    await vi.advanceTimersByTimeAsync(60_000)
    expect((await limiter.check('user:1')).allowed).toBe(true)
  })

  it('gives waiters slots one after the other, and an aborted slot back', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 10, per: '1s', burst: 1 }) } })
    const started: number[] = []
    const begin = Date.now()
    const waits = [0, 1, 2, 3].map(async () => {
      await limiter.acquire('job')
      started.push(Date.now() - begin)
    })
    const aborted = new AbortController()
    const last = limiter.acquire('job', { signal: aborted.signal })
    aborted.abort(new Error('changed my mind'))
    await expect(last).rejects.toThrow('changed my mind')
    await vi.advanceTimersByTimeAsync(1_000)
    await Promise.all(waits)
    expect(started).toEqual([0, 100, 200, 300])
  })

  it('gives back what was charged for a caller who left before the answer', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 10, per: '1h' }) } })
    const charged = [
      (signal: AbortSignal) => limiter.reserve('job', { cost: 4, signal }),
      (signal: AbortSignal) => limiter.acquire('job', { cost: 4, signal }),
    ]
    for (const call of charged) {
      const aborted = new AbortController()
      const answer = call(aborted.signal)
      aborted.abort(new Error('changed my mind'))
      await expect(answer).rejects.toThrow('changed my mind')
      await vi.advanceTimersByTimeAsync(0)
      expect((await limiter.peek('job')).policies.api?.remaining).toBe(10)
    }
    const aborted = new AbortController()
    const answer = limiter.peek('job', { signal: aborted.signal })
    aborted.abort(new Error('changed my mind'))
    await expect(answer).rejects.toThrow('changed my mind')
    expect((await limiter.peek('job')).policies.api?.remaining).toBe(10)
  })

  it('denies a wait that would be too long at once and charges nothing', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1s' }) } })
    await limiter.acquire('job')
    await limiter.acquire('job', { maxWait: 999 }).then((decision) => expect(decision.allowed).toBe(false))
    expect((await limiter.peek('job')).retryAfter).toBe(1_000)
  })

  it('refuses to pace sliding windows', async () => {
    for (const api of [slidingWindow({ limit: 1, per: '1s' }), slidingLog({ limit: 1, per: '1s' })]) {
      await using limiter = createRateLimiter({ policies: { api } })
      await expect(limiter.acquire('job')).rejects.toMatchObject({ code: 'LIMIT_ERR_NOT_PACED' })
    }
  })

  it('ends a calendar quota at local midnight', async () => {
    await using limiter = createRateLimiter({
      policies: { daily: quota({ limit: 1, period: 'day', timeZone: 'Pacific/Auckland' }) },
    })
    await limiter.check('user:1')
    // 12:00 UTC is 01:00 the next day in Auckland (UTC+13 in March).
    expect((await limiter.check('user:1')).retryAfter).toBe(23 * 3_600_000)
  })

  it('never admits more than the limit in any window with the log', async () => {
    await using limiter = createRateLimiter({ policies: { api: slidingLog({ limit: 2, per: '1s' }) } })
    await limiter.check('user:1')
    await vi.advanceTimersByTimeAsync(400)
    await limiter.check('user:1')
    expect((await limiter.check('user:1')).retryAfter).toBe(600)
    expect((await limiter.check('user:1', { cost: 2 })).retryAfter).toBe(1_000)
  })

  it('rejects wrong arguments and everything after close', async () => {
    const limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1s' }) } })
    await expect(limiter.check('')).rejects.toMatchObject({ code: 'LIMIT_ERR_BAD_ARGUMENT' })
    await expect(limiter.check('a', { cost: -1 })).rejects.toMatchObject({ code: 'LIMIT_ERR_BAD_ARGUMENT' })
    await expect(limiter.check('a', { cost: Number.NaN })).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    await expect(limiter.check('a', { policies: ['nope' as never] })).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    await expect(limiter.check('a', { plan: 'nope' })).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    for (const cost of ['5', null, [5], true, 5n, { api: '5' }, { api: null }]) {
      const wrong = { code: 'LIMIT_ERR_BAD_ARGUMENT' }
      await expect(limiter.check('a', { cost: cost as never })).rejects.toMatchObject(wrong)
      await using reserved = await limiter.reserve('b', { cost: 0 })
      await expect(reserved.commit(cost as never)).rejects.toMatchObject(wrong)
    }
    await expect(limiter.check('a', { policies: 'api' as never })).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    // One that is wrong among many: nobody is charged.
    await expect(limiter.checkMany([{ subject: 'c' }, { subject: 'd', cost: -1 }])).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    expect((await limiter.peek('c')).policies.api?.remaining).toBe(1)
    // Longer than timers can: these would end at once.
    await expect(limiter.reserve('a', { expires: '25d' })).rejects.toThrow(/up to 24 days/)
    await expect(limiter.acquire('a', { maxWait: '25d' })).rejects.toThrow(/up to 24 days/)
    await expect(limiter.block('a', '367d')).rejects.toThrow(/up to 366 days/)
    await using slots = concurrency({ limit: 1 })
    await expect(slots.enter('a', 5 as never)).rejects.toThrow(/options must be an object/)
    await expect(slots.enter('a', { maxWait: '25d' })).rejects.toThrow(/up to 24 days/)
    for (const options of [null, 5, 'a', [1]]) {
      const wrong = { code: 'LIMIT_ERR_BAD_ARGUMENT' }
      await expect(limiter.check('a', options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.peek('a', options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.reserve('a', options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.acquire('a', options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.refund('a', 1, options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.reset('a', options as never)).rejects.toMatchObject(wrong)
      await expect(limiter.check('a', { limits: options as never })).rejects.toMatchObject(wrong)
    }
    const size = limiter.setLimit('a', 'api', '5' as never)
    await expect(size).rejects.toThrow(
      'gcra: a size must be a number of units, or an object of limit and burst',
    )
    await expect(limiter.setLimit('a', 'api', { limt: 5 } as never)).rejects.toThrow(
      /did you mean "size.limit"/,
    )
    await expect(limiter.penalty('a', null as never)).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
    await expect(limiter.checkMany({} as never)).rejects.toMatchObject({ code: 'LIMIT_ERR_BAD_ARGUMENT' })
    await limiter.close()
    await limiter.close()
    await expect(limiter.check('a')).rejects.toMatchObject({ code: 'LIMIT_ERR_CLOSED' })
    expect(limiter.health().status).toBe('closed')
  })

  it('rejects a cost or plan that is none, whatever was asked before', async () => {
    await using limiter = createRateLimiter({
      policies: { api: gcra({ limit: 9, per: '1h', plans: { pro: 10 } }) },
    })
    // What was given is remembered by its text, in which NaN, Infinity, null and undefined look alike.
    await limiter.check('a', { policies: ['api'] })
    await limiter.check('a', { cost: { api: undefined as never } })
    for (const cost of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const wrong = { code: 'LIMIT_ERR_BAD_ARGUMENT' }
      await expect(limiter.check('a', { policies: ['api'], cost })).rejects.toMatchObject(wrong)
      await expect(limiter.check('a', { cost: { api: cost } })).rejects.toMatchObject(wrong)
    }
    for (const cost of [1n, Symbol('api'), null]) {
      const wrong = { code: 'LIMIT_ERR_BAD_ARGUMENT' }
      await expect(limiter.check('a', { cost: { api: cost as never } })).rejects.toMatchObject(wrong)
    }
    await expect(limiter.check('a', { policies: ['api'], plan: null as never })).rejects.toThrow(/plan/)
    expect((await limiter.peek('a')).policies.api?.remaining).toBe(7)
  })

  it('takes policies called like what every object has', async () => {
    const size = gcra({ limit: 9, per: '1h', plans: { constructor: 20 } })
    const policies: Record<string, typeof size> = { constructor: size, toString: size, other: size }
    await using limiter = createRateLimiter({ policies })
    const remaining = async () =>
      Object.values((await limiter.peek('__proto__')).policies).map((policy) => policy?.remaining)
    await limiter.check('__proto__', { cost: { other: 3 } })
    expect(await remaining()).toEqual([8, 8, 6])
    const reserved = await limiter.reserve('__proto__', { limits: { other: 9 } })
    await reserved.commit({ toString: 2 })
    expect(await remaining()).toEqual([7, 6, 5])
    expect((await limiter.peek('new', { plan: 'constructor' })).policies.constructor).toMatchObject({
      limit: 20,
    })
    await using plain = createRateLimiter({ policies: { api: size } })
    await expect(plain.acquire('a', { policies: ['constructor' as never] })).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
  })

  it('has the defaults that its documents tell', () => {
    const policies = { api: gcra({ limit: 1, per: '1s' }) }
    expect(readOptions({ policies, lease: true })).toMatchObject({
      prefix: 'limit',
      onError: 'local',
      timeout: 100,
      denyCache: { max: 10_000, maxAge: 1_000 },
      lease: { maxShare: 0.1, maxAge: 1_000 },
      partitions: 128,
      maxSubjects: 100_000,
      heartbeat: 5_000,
      topOffenders: 0,
      name: 'ratelimit',
    })
    expect(readOptions({ policies }).lease).toBeUndefined()
  })

  it('refuses options it does not know', () => {
    const policies = { api: gcra({ limit: 1, per: '1s' }) }
    expect(() => createRateLimiter({ policies, prefx: 'x' } as never)).toThrow(/did you mean "prefix"/)
    expect(() => createRateLimiter({ policies: {} })).toThrow(/at least one policy/)
    expect(() => createRateLimiter({ policies: { 'a:b': policies.api } })).toThrow(/name must match/)
    expect(() => createRateLimiter({ policies, redis: {} as never })).toThrow(/ioredis client/)
    expect(() => gcra({ limit: 0, per: '1s' })).toThrow(/limit must be a number of units/)
    expect(() => gcra({ limit: 1, per: '1 fortnight' as never })).toThrow(/per must be a duration/)
    expect(() => quota({ limit: 1, period: 'day', timeZone: 'Mars/Olympus' })).toThrow(/time zone/)
  })

  it('forgets the oldest subjects beyond its bound', async () => {
    await using limiter = createRateLimiter({
      policies: { api: gcra({ limit: 1, per: '1h' }) },
      maxSubjects: 100,
    })
    for (let subject = 0; subject < 1_000; subject++) await limiter.check(`user:${subject}`)
    expect((await limiter.peek('user:999')).allowed).toBe(false)
    expect((await limiter.peek('user:0')).allowed).toBe(true)
  })
})
