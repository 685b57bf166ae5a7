import { Cluster, type Redis } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClusterRedis } from '../../src/redis-cluster.ts'
import { slotOf } from '../../src/redis-slot.ts'
import { startRedis } from '../../src/start-redis.ts'

let redis: ClusterRedis
let client: Cluster

beforeAll(async () => {
  redis = await startRedis({ mode: 'cluster', replicas: 1, password: 'secret', nodeTimeout: 1_000 })
  client = new Cluster([...redis.nodes], {
    redisOptions: { password: 'secret' },
    clusterRetryStrategy: () => 50,
    slotsRefreshTimeout: 2_000,
  })
  client.on('error', () => {})
})

afterAll(async () => {
  client.disconnect()
  await redis.close()
})

describe('a cluster', () => {
  it('covers all slots with primaries and their replicas', async () => {
    const slots = await redis.slots()
    expect(slots.map(({ first, last }) => [first, last])).toEqual([
      [0, 5460],
      [5461, 10921],
      [10922, 16383],
    ])
    expect(slots.map(({ replicas }) => replicas.length)).toEqual([1, 1, 1])
    expect(new Set(redis.nodes.map(({ url }) => url)).size).toBe(6)
  })

  it.each(['', 'foo', '{foo}', 'a{b}c{d}', '{}x', '{', 'x}{y}', '{{a}}', 'clé'])(
    'computes the slot of %j as Redis does',
    async (key) => {
      expect(slotOf(key)).toBe(await redis.nodes[0]?.command('CLUSTER', 'KEYSLOT', key))
    },
  )

  it('serves a client on every shard', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, index) => client.set(`key ${index}`, index)))
    const sizes = await Promise.all(client.nodes('master').map((node: Redis) => node.dbsize()))
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(100)
    expect(sizes.every((size) => size > 0)).toBe(true)
  })

  it('moves a slot with its keys while clients read and write', async () => {
    const keys = Array.from({ length: 21 }, (_, index) => `{moving}${index}`)
    await Promise.all(keys.map((key) => client.set(key, key)))
    const from = await redis.primaryOf('{moving}')
    const [to] = (await redis.slots()).map(({ primary }) => primary).filter((node) => node !== from)
    if (!to) throw new Error('a cluster of one')
    const seen: (string | null)[] = []
    await redis.migrateSlot('{moving}', to, {
      async during() {
        seen.push(...(await Promise.all(keys.map((key) => client.get(key)))))
        await expect(from.command('MGET', ...keys)).rejects.toThrow('TRYAGAIN')
      },
    })
    expect(seen).toEqual(keys)
    expect(await redis.primaryOf('{moving}')).toBe(to)
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
    await redis.migrateSlot('{moving}', from)
    expect(await client.get(keys[0] ?? '')).toBe(keys[0])
  })

  it('evicts keys wherever they live', async () => {
    const keys = Array.from({ length: 12 }, (_, index) => `evicted ${index}`)
    await Promise.all(keys.map((key) => client.set(key, 1)))
    expect(await redis.evict(keys)).toBe(12)
    expect(await client.get('evicted 3')).toBeNull()
  })

  it('loses on purpose what a lagging replica never saw', async () => {
    await client.set('kept', 1)
    const old = await redis.primaryOf('kept')
    const promoted = await redis.failover({
      of: 'kept',
      lagging: () => client.set('{kept}lost', 1),
    })
    expect(promoted).not.toBe(old)
    expect(await client.get('kept')).toBe('1')
    expect(await client.get('{kept}lost')).toBeNull()
    expect((await old.info()).get('role')).toBe('slave')
  })

  it('comes back whole after all its nodes were killed', async () => {
    await client.set('durable', 1)
    await redis.kill()
    await redis.start()
    expect(await client.get('durable')).toBe('1')
  })

  it('gets another primary for a shard when its own is killed, which comes back as a replica', async () => {
    await client.set('{shard}durable', 1)
    const old = await redis.primaryOf('{shard}')
    const promoted = await redis.failover({ of: '{shard}', cause: 'crash' })
    expect(promoted).not.toBe(old)
    expect(await client.get('{shard}durable')).toBe('1')
    await redis.start()
    expect((await old.info()).get('master_port')).toBe(String(promoted.port))
  })

  it('goes on after one node, and after all of them, were frozen', async () => {
    const [node] = redis.nodes
    await node?.freeze()
    expect(node?.state).toBe('frozen')
    await node?.thaw()
    await redis.freeze()
    await redis.thaw()
    expect(redis.nodes.map(({ state }) => state)).toEqual(redis.nodes.map(() => 'running'))
    expect(await client.set('key', 'value')).toBe('OK')
  })

  it('says so when there is no replica to fail over to', async () => {
    const { replicas } = (await redis.slots())[0] ?? {}
    await replicas?.[0]?.stop()
    await expect(redis.failover()).rejects.toMatchObject({ code: 'TESTKIT_ERR_STATE' })
    await redis.start()
  })
})

it('serves ioredis 5, which follows a slot to its new place', async () => {
  await using plain = await startRedis({ mode: 'cluster' })
  const other = new Cluster5([...plain.nodes])
  await other.set('key', 'value')
  const from = await plain.primaryOf('key')
  const to = plain.nodes.find((node) => node !== from)
  if (!to) throw new Error('a cluster of one')
  await plain.migrateSlot('key', to)
  expect(await other.get('key')).toBe('value')
  other.disconnect()
})
