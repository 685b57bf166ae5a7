import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCache } from '../../src/index.ts'
import { faultyRedis } from '../../src/testing.ts'
import { redisSuite } from '../conformance/redis.suite.ts'

// Nothing sleeps: time passes when the suite says so.
beforeAll(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'],
  })
})
afterAll(() => {
  vi.useRealTimers()
})

redisSuite('a Redis for tests', () => {
  const redis = faultyRedis()
  return {
    connect: () => redis.client(),
    down: () => redis.down(),
    up: () => redis.up(),
    freeze: () => redis.freeze(),
    thaw: () => redis.thaw(),
    restart: (lose) => redis.restart({ lose }),
    deafen: () => void redis.loseMessages(1),
    fill: () => redis.fill(),
    free: () => redis.free(),
    evict: (key) => redis.evict((one) => one === key),
    pass: (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds),
    close: () => {},
  }
})

describe('a Redis for tests', () => {
  const options = { name: 'test', ttl: '1h', sync: { maxStaleness: 300 }, l2: { timeout: 50 } } as const

  it('cuts one process off while the others go on', async () => {
    const redis = faultyRedis()
    const [near, far] = [redis.client(), redis.client()]
    await using here = createCache({ ...options, redis: near })
    await using there = createCache({ ...options, redis: far })
    await there.getOrSet('k', () => 'old')
    far.cut()
    expect(await here.invalidate('k')).toBe('fleet')
    await vi.advanceTimersByTimeAsync(400)
    const reading = there.getOrSet('k', () => 'new')
    await vi.waitFor(async () => {
      await vi.advanceTimersByTimeAsync(10)
      expect(there.health().status).toBe('degraded')
    })
    expect(await reading).toBe('new')
    expect(here.health().status).toBe('ok')
    far.mend()
    await vi.waitFor(async () => {
      await vi.advanceTimersByTimeAsync(10)
      expect(there.health().status).toBe('ok')
    })
  })

  for (const lost of [false, true]) {
    it(`tells who waits for a load that it has ended${lost ? ', or is asked again when that is lost' : ', at once'}`, async () => {
      const redis = faultyRedis()
      await using here = createCache({ ...options, redis: redis.client() })
      await using there = createCache({ ...options, redis: redis.client() })
      await Promise.all([here.get('warm'), there.get('warm')])
      for (const outcome of ['value', 'failure'] as const) {
        let end = () => {}
        const loading = here.getOrSet(outcome, () => {
          return new Promise((resolve, reject) => {
            end = outcome === 'value' ? () => resolve(1) : () => reject(new Error('down'))
          })
        })
        loading.catch(() => {})
        await vi.advanceTimersByTimeAsync(0)
        let settled = ''
        const waiting = there.getOrSet(outcome, () => 2)
        waiting.then(
          () => (settled = 'value'),
          () => (settled = 'failure'),
        )
        await vi.advanceTimersByTimeAsync(1_000)
        expect(settled).toBe('')
        if (lost) redis.loseMessages(1)
        end()
        // No time passes: only a message can bring it.
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
        expect(settled).toBe(lost ? '' : outcome)
        await vi.advanceTimersByTimeAsync(40)
        expect(settled).toBe(outcome)
      }
    })
  }

  it('takes the time it is told to take, and keeps the order', async () => {
    const redis = faultyRedis()
    const client = redis.client()
    const order: string[] = []
    redis.lag(100)
    const first = client.pipeline([['ping']]).exec()
    redis.lag(10)
    const second = client.pipeline([['ping']]).exec()
    void first.then(() => order.push('first'))
    void second.then(() => order.push('second'))
    await vi.advanceTimersByTimeAsync(99)
    expect(order).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(order).toEqual(['first', 'second'])
    expect(await first).toEqual([[null, 'PONG']])
  })

  it('can be down when a client comes, and says what it holds', async () => {
    const redis = faultyRedis()
    redis.down()
    await using cache = createCache({ ...options, redis: redis.client() })
    expect(await cache.getOrSet('k', () => 1)).toBe(1)
    expect(cache.health().status).toBe('degraded')
    redis.up()
    await vi.waitFor(async () => {
      await vi.advanceTimersByTimeAsync(10)
      expect(cache.health().status).toBe('ok')
    })
    await cache.set('k', 2)
    expect(redis.keys).toContain('cays:cache:{test@1:k}')
    expect(redis.evict((key) => key.endsWith(':k}'))).toBe(1)
    expect(redis.keys).not.toContain('cays:cache:{test@1:k}')
  })

  it('refuses what this package never says', async () => {
    const [answer] =
      (await faultyRedis()
        .client()
        .pipeline([['keys', '*']])
        .exec()) ?? []
    expect(answer?.[0]?.message).toContain("does not know 'keys'")
  })
})
