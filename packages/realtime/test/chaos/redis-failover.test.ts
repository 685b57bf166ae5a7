import { type ClusterRedis, type SentinelRedis, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPublisher } from '../../src/index.ts'
import { startLocalNode } from '../support/local-node.ts'
import { expectComplete, faultsOf, passes, type Record, record, startCounting } from '../support/recorder.ts'

async function onNodes(
  redis: Redis | Cluster,
  rooms: number,
  work: (parts: {
    readonly records: readonly Record[]
    readonly publisher: ReturnType<typeof createPublisher>
  }) => Promise<void>,
) {
  const nodes = await Promise.all([1, 2].map(() => startLocalNode({ redis, checkInterval: 1_000 })))
  const publisher = createPublisher({ redis, timeout: 20_000 })
  const records = Array.from({ length: rooms * 2 }, (_, i) =>
    record(nodes[i % 2]?.url ?? '', Math.floor(i / 2)),
  )
  try {
    for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
    await work({ records, publisher })
  } finally {
    for (const one of records) await one.close()
    await publisher.close()
    await Promise.all(nodes.map((node) => node.close()))
  }
}

function countIn(publisher: ReturnType<typeof createPublisher>, rooms: number) {
  const all = Array.from({ length: rooms }, (_, id) => publisher.room('job:{id}', { id }))
  return startCounting(
    (n, idempotencyKey) => Promise.all(all.map((room) => room.publish('n', n, { idempotencyKey }))),
    10,
  )
}

async function expectNoSilentLoss(records: readonly Record[], last: number) {
  for (const one of records) await expect.poll(() => one.numbers.at(-1)).toBe(last)
  for (const one of records) expect(faultsOf(one)).toEqual([])
}

describe('behind sentinels', () => {
  let redis: SentinelRedis
  let client: Redis
  beforeAll(async () => {
    redis = await startRedis({ mode: 'sentinel' })
    client = new Redis({
      name: redis.name,
      sentinels: redis.sentinels.map(({ host, port }) => ({ host, port })),
      lazyConnect: true,
    })
  })
  afterAll(async () => {
    client.disconnect()
    await redis.close()
  })

  it('announces what a lagging replica did not have when it took over, and loses nothing else', async () => {
    await onNodes(client, 1, async ({ records, publisher }) => {
      const room = publisher.room('job:{id}', { id: 0 })
      for (let n = 1; n <= 10; n++) await room.publish('n', n)
      for (const one of records) await expect.poll(() => one.numbers.length).toBe(10)
      await redis.failover({
        lagging: async () => {
          for (let n = 11; n <= 15; n++) await room.publish('n', n)
          for (const one of records) await expect.poll(() => one.numbers.length).toBe(15)
        },
      })
      for (let n = 16; n <= 25; n++) await room.publish('n', n)
      await expectNoSilentLoss(records, 25)
      for (const one of records) {
        expect(one.gaps.map(({ gap }) => gap.reason)).toEqual(['lost'])
        expect(one.numbers).toHaveLength(25)
      }
    })
  })
})

describe('on a cluster, with sharded pub/sub', () => {
  let redis: ClusterRedis
  let client: Cluster
  beforeAll(async () => {
    redis = await startRedis({ mode: 'cluster', replicas: 1 })
    client = new Cluster(
      redis.nodes.map(({ host, port }) => ({ host, port })),
      { lazyConnect: true },
    )
  })
  afterAll(async () => {
    client.disconnect()
    await redis.close()
  })

  it('loses, doubles and reorders nothing when a slot moves and a shard fails over', async () => {
    await onNodes(client, 4, async ({ records, publisher }) => {
      const counting = countIn(publisher, 4)
      await passes(counting, 15)
      const [meta] = await keysOf(redis, 'rt:*:m:job:0')
      if (!meta) throw new Error('the room has no key')
      const from = await redis.primaryOf(meta)
      const slots = await redis.slots()
      const to = slots.find(({ primary }) => primary.port !== from.port)?.primary
      if (!to) throw new Error('a second primary was asked for')
      await redis.migrateSlot(meta, to)
      await passes(counting, 15)
      const [other] = await keysOf(redis, 'rt:*:m:job:1')
      await redis.failover({ of: other ?? 0 })
      await passes(counting, 30)
      await expectComplete(records, await counting.stop())
    })
  })
})

async function keysOf(redis: ClusterRedis, pattern: string): Promise<string[]> {
  const found = await Promise.all(
    (await redis.slots()).map(({ primary }) => primary.command('KEYS', pattern)),
  )
  return found.flat() as string[]
}
