import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SentinelRedis } from '../../src/redis-sentinel.ts'
import { startRedis } from '../../src/start-redis.ts'

let redis: SentinelRedis
let client: Redis

beforeAll(async () => {
  redis = await startRedis({ mode: 'sentinel', password: 'secret' })
  client = new Redis({
    sentinels: [...redis.sentinels],
    name: redis.name,
    password: 'secret',
    sentinelRetryStrategy: () => 50,
    retryStrategy: () => 50,
  })
  client.on('error', () => {})
})

afterAll(async () => {
  client.disconnect()
  await redis.close()
})

describe('a primary watched by sentinels', () => {
  it('is found by a client through the sentinels', async () => {
    expect(await client.set('key', 'value')).toBe('OK')
    expect(await redis.primary()).toBe(redis.nodes[0])
  })

  it('loses on purpose what a lagging replica never saw', async () => {
    await client.set('kept', 1)
    const promoted = await redis.failover({ lagging: () => client.set('lost', 1) })
    expect(promoted).toBe(redis.nodes[1])
    expect(await client.mget('kept', 'lost')).toEqual(['1', null])
    expect((await redis.nodes[0]?.info())?.get('role')).toBe('slave')
  })
})
