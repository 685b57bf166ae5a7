import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  createRateLimiter,
  fixedWindow,
  gcra,
  quota,
  type RateLimiter,
  type RedisClient,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from '../../src/index.ts'
import { INTERNALS } from '../../src/policy.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-10T12:00:00Z') })
})
afterEach(() => {
  vi.useRealTimers()
})

const policies = { api: fixedWindow({ limit: 4, per: '1h' }) }

/** A connection over which nothing comes back. */
function silent(status: string): RedisClient & { sent: number } {
  const client = {
    status,
    sent: 0,
    evalsha: never,
    eval: never,
    evalshaBuffer: never,
    evalBuffer: never,
  }
  function never(): Promise<never> {
    client.sent++
    return new Promise(() => {})
  }
  return client
}

describe('while Redis is silent', () => {
  it('a decision waits as long as `timeout` and no longer, three times in a row, then not at all', async () => {
    const redis = silent('ready')
    const limiter = createRateLimiter({ redis, policies, timeout: 80 })
    for (let call = 0; call < 3; call++) {
      let decided = false
      const decision = limiter.check(`user:${call}`).finally(() => {
        decided = true
      })
      await vi.advanceTimersByTimeAsync(79)
      expect(decided).toBe(false)
      // And two turns of the event loop, in which an answer could still be read: a millisecond each on this clock.
      await vi.advanceTimersByTimeAsync(3)
      expect(decided).toBe(true)
      expect(await decision).toMatchObject({ source: 'local', error: { code: 'LIMIT_ERR_TIMEOUT' } })
    }
    const { sent } = redis
    expect(await limiter.check('user:4')).toMatchObject({ source: 'local', allowed: true })
    expect([redis.sent - sent, limiter.health()]).toEqual([
      0,
      { status: 'degraded', store: 'redis', nodes: 1, lastError: 'LIMIT_ERR_TIMEOUT' },
    ])
    // It is asked in the background whether it is back.
    await vi.advanceTimersByTimeAsync(3_000)
    expect(redis.sent).toBeGreaterThan(sent)
    const closing = limiter.close()
    await vi.advanceTimersByTimeAsync(1_000)
    await closing
  })

  it('a call that timed out is not sent again', async () => {
    const redis = silent('ready')
    const strict = { api: fixedWindow({ limit: 4, per: '1h', onError: 'closed' }) }
    const limiter = createRateLimiter({ redis, policies: strict })
    const decision = limiter.check('user')
    // And two turns of the event loop, as above.
    await vi.advanceTimersByTimeAsync(103)
    expect(await decision).toMatchObject({ reason: 'unavailable', error: { code: 'LIMIT_ERR_TIMEOUT' } })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(redis.sent).toBe(1)
    await limiter.close()
  })

  it.each<[string, (limiter: RateLimiter<'api'>) => Promise<unknown>]>([
    ['refund', (limiter) => limiter.refund('user')],
    ['penalty', (limiter) => limiter.penalty('user')],
    ['block', (limiter) => limiter.block('user', '1m')],
    ['reset', (limiter) => limiter.reset('user')],
    ['setLimit', (limiter) => limiter.setLimit('user', 'api', 7)],
  ])('%s rejects without being sent', async (_verb, change) => {
    const redis = silent('end')
    await using limiter = createRateLimiter({ redis, policies })
    await expect(change(limiter)).rejects.toMatchObject({ code: 'LIMIT_ERR_UNAVAILABLE', retryable: true })
    expect(redis.sent).toBe(0)
  })

  it('a reservation made here is settled here', async () => {
    await using limiter = createRateLimiter({ redis: silent('end'), policies })
    const first = await limiter.reserve('user', { cost: 3 })
    expect([first.decision.source, (await limiter.reserve('user', { cost: 3 })).allowed]).toEqual([
      'local',
      false,
    ])
    await first.commit(1)
    expect((await limiter.peek('user')).policies.api?.remaining).toBe(3)
  })

  it('a waiter gets its turn from this process', async () => {
    await using limiter = createRateLimiter({
      redis: silent('end'),
      policies: { api: gcra({ limit: 10, per: '1s', burst: 1 }) },
    })
    expect((await limiter.acquire('job')).source).toBe('local')
    const begin = performance.now()
    const second = limiter.acquire('job').then(() => performance.now() - begin)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await second).toBe(100)
  })

  it('a shadow policy is not counted, and an open one admits all', async () => {
    await using limiter = createRateLimiter({
      redis: silent('end'),
      policies: { trial: gcra({ limit: 1, per: '1h', mode: 'shadow', onError: 'closed' }) },
    })
    for (let call = 0; call < 3; call++) {
      expect(await limiter.check('user')).toMatchObject({ allowed: true, source: 'open', policies: {} })
    }
  })
})

describe("a node's share of a limit", () => {
  it.each([
    gcra({ limit: 100, per: '1s', burst: 250 }),
    tokenBucket({ capacity: 250, refill: 100, per: '1s' }),
    tokenBucket({ capacity: 250, refill: 100, per: '1s', style: 'interval' }),
    fixedWindow({ limit: 100, per: '1s' }),
    slidingWindow({ limit: 100, per: '1s' }),
    slidingLog({ limit: 100, per: '1s' }),
    quota({ limit: 100, period: 'day' }),
  ])('is at least one unit, and all shares together are no more than the limit ($algorithm)', (policy) => {
    const { kernel, parameters, share } = policy[INTERNALS]
    for (const nodes of [1, 2, 3, 7, 64, 99, 100, 101, 250, 1_000]) {
      const part = share(parameters, nodes)
      expect(part.cap).toBeGreaterThanOrEqual(1_000)
      expect(part.cap * nodes).toBeLessThanOrEqual(Math.max(parameters.cap, nodes * 1_000))
      const perWindow = kernel.limitOf(part, policy.window * 1_000)
      expect(perWindow * nodes).toBeLessThanOrEqual(Math.max(policy.limit * 1_000, nodes * 1_000))
      expect(perWindow).toBeGreaterThan(0)
    }
  })
})
