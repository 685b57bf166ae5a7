import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrency } from '../../src/index.ts'

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
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe.each(['memory', 'redis'] as const)('concurrency (%s)', (kind) => {
  const options = () => (kind === 'redis' ? { redis, prefix: `c${++prefix}`, timeout: '30s' as const } : {})

  it('lets in as many as the limit says, and the next when one leaves', async () => {
    await using limiter = concurrency({ limit: 2, ...options() })
    const first = await limiter.enter('a')
    const second = await limiter.enter('a')
    expect([first.allowed, second.allowed, (await limiter.enter('a')).allowed]).toEqual([true, true, false])
    expect((await limiter.enter('b')).allowed).toBe(true)
    await first.release()
    await first.release()
    expect((await limiter.enter('a')).allowed).toBe(true)
    expect((await limiter.enter('a')).allowed).toBe(false)
  })

  it('serves waiters in order and never lets in more than the limit', async () => {
    await using limiter = concurrency({ limit: 3, ...options() })
    let inside = 0
    let most = 0
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        await using slot = await limiter.enter('a', { maxWait: '20s' })
        expect(slot.allowed).toBe(true)
        order.push(index)
        most = Math.max(most, ++inside)
        await pause(5)
        inside--
      }),
    )
    expect(most).toBe(3)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, index) => index))
  })

  it('gives up a wait in time or when aborted, and takes nothing', async () => {
    await using limiter = concurrency({ limit: 1, ...options() })
    const held = await limiter.enter('a')
    expect((await limiter.enter('a', { maxWait: 30 })).allowed).toBe(false)
    const aborted = new AbortController()
    const waiting = limiter.enter('a', { maxWait: '10s', signal: aborted.signal })
    aborted.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await held.release()
    expect((await limiter.enter('a')).allowed).toBe(true)
  })
})

describe('concurrency across processes', () => {
  it('frees the slots of a process that died after ttl, and keeps those of one that lives', async () => {
    // Long enough that only a dead process misses it.
    const shared = { redis, prefix: `c${++prefix}`, limit: 2, ttl: '3s', timeout: '30s' } as const
    const connection = new Redis(server.url)
    // A process that dies cannot renew: its connection is cut under it.
    const dying = concurrency({ ...shared, redis: connection })
    await using living = concurrency(shared)
    expect((await dying.enter('a')).allowed).toBe(true)
    const kept = await living.enter('a')
    connection.disconnect()
    expect((await living.enter('a')).allowed).toBe(false)
    const [key = ''] = await redis.keys(`${shared.prefix}:*`)
    const endOfLast = async () => {
      const [last = ''] = await redis.zrange(key, '-1', '-1')
      return Number(await redis.zscore(key, last))
    }
    const entered = await endOfLast()
    const taken = await living.enter('a', { maxWait: '30s' })
    expect(taken.allowed).toBe(true)
    await expect.poll(endOfLast).toBeGreaterThan(entered + 3_000)
    expect(kept.signal.aborted).toBe(false)
    expect((await living.enter('a')).allowed).toBe(false)
    await dying.close()
  })

  it('tells the holder when its slot was lost', async () => {
    const key = `c${++prefix}`
    await using limiter = concurrency({ redis, prefix: key, limit: 1, ttl: '3s', timeout: '30s' })
    const slot = await limiter.enter('a')
    await redis.del(await redis.keys(`${key}:*`))
    await expect.poll(() => slot.signal.aborted).toBe(true)
    expect(slot.signal.reason).toMatchObject({ code: 'LIMIT_ERR_UNAVAILABLE' })
  })

  it('leaves no slot behind that nobody holds after Redis was frozen', async () => {
    const own = await startRedis()
    const connection = new Redis(own.url)
    await connection.ping()
    const shared = { redis: connection, limit: 1, ttl: '10m' } as const
    await using limiter = concurrency({ ...shared, timeout: 100 })
    await own.freeze()
    for (let call = 0; call < 3; call++) {
      await using slot = await limiter.enter('a')
      expect(slot).toMatchObject({ allowed: true, source: 'local' })
    }
    await own.thaw()
    await using other = concurrency({ ...shared, timeout: '30s' })
    expect(await other.enter('a')).toMatchObject({ allowed: true, source: 'redis' })
    connection.disconnect()
    await own.close()
  })

  it('goes on in this process while Redis is gone', async () => {
    const connection = new Redis(server.url)
    connection.disconnect()
    await using limiter = concurrency({ redis: connection, limit: 1 })
    const slot = await limiter.enter('a')
    expect(slot).toMatchObject({ allowed: true, source: 'local' })
    expect((await limiter.enter('a')).allowed).toBe(false)
    await using closed = concurrency({ redis: connection, limit: 1, onError: 'closed' })
    expect(await closed.enter('a', { maxWait: '1s' })).toMatchObject({ allowed: false, source: 'closed' })
  })
})
