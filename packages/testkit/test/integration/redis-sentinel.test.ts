import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SentinelRedis } from '../../src/redis-sentinel.ts'
import { startRedis } from '../../src/start-redis.ts'

describe('a primary watched by sentinels', () => {
  let redis: SentinelRedis
  let clients: readonly Redis[]
  let client: Redis

  beforeAll(async () => {
    redis = await startRedis({ mode: 'sentinel', password: 'se cr"et', replicas: 2 })
    clients = [Redis, Redis5 as unknown as typeof Redis].map(
      (Client) =>
        new Client({
          sentinels: [...redis.sentinels],
          name: redis.name,
          password: 'se cr"et',
          sentinelRetryStrategy: () => 50,
          retryStrategy: () => 50,
          maxRetriesPerRequest: null,
        }),
    )
    for (const each of clients) each.on('error', () => {})
    client = clients[0] as Redis
  })

  afterAll(async () => {
    for (const each of clients) each.disconnect()
    await redis.close()
  })

  // What ioredis 6 and ioredis 5 read, each after it found the primary of the moment.
  const read = (...keys: string[]) => Promise.all(clients.map((each) => each.mget(keys)))

  it('is found through the sentinels', async () => {
    expect(await client.set('key', 'value')).toBe('OK')
    expect(await read('key')).toEqual([['value'], ['value']])
    expect(await redis.primary()).toBe(redis.nodes[0])
  })

  it('loses on purpose what lagging replicas never saw, and nothing else', async () => {
    await client.set('kept', 1)
    const old = await redis.primary()
    const promoted = await redis.failover({ lagging: () => client.set('lost', 1) })
    expect(promoted).not.toBe(old)
    expect(await read('kept', 'lost')).toEqual([
      ['1', null],
      ['1', null],
    ])
    expect((await old.info()).get('role')).toBe('slave')
  })

  it('gets another primary when its own is killed, which comes back as a replica', async () => {
    await client.set('durable', 1)
    const old = await redis.primary()
    const promoted = await redis.failover({ cause: 'crash' })
    expect(promoted).not.toBe(old)
    expect(old.state).toBe('down')
    expect(await read('durable')).toEqual([['1'], ['1']])
    await old.start()
    await redis.settled()
    expect((await old.info()).get('master_port')).toBe(String((await redis.primary()).port))
  })

  it('loses connections of clients, not those of sentinels', async () => {
    const subscriber = client.duplicate()
    subscriber.on('error', () => {})
    await subscriber.subscribe('channel')
    expect(await redis.killClients('pubsub')).toBe(1)
    subscriber.disconnect()
  })

  it('evicts from the primary and with it from the replicas', async () => {
    await client.set('evicted', 1)
    expect(await redis.evict('evicted')).toBe(1)
    expect(await client.get('evicted')).toBeNull()
  })

  it('comes back whole after all that hold data were killed', async () => {
    await client.set('durable', 2)
    await redis.restart()
    expect(await read('durable')).toEqual([['2'], ['2']])
  })

  it('stops in good order, also a replica that has just synchronized', async () => {
    const primary = await redis.primary()
    const replica = redis.nodes.find((node) => node !== primary)
    await replica?.restart()
    await replica?.stop()
    expect(replica?.state).toBe('down')
    await redis.start()
  })
})

it('lets sentinels die and come back', async () => {
  await using redis = await startRedis({ mode: 'sentinel' })
  const [first, second] = redis.sentinels
  await first?.kill()
  await second?.freeze()
  expect(await redis.primary()).toBe(redis.nodes[0])
  await second?.thaw()
  await first?.start()
  expect(await first?.command('SENTINEL', 'CKQUORUM', 'mymaster')).toContain('OK')
})
