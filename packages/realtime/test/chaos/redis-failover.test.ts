import { type ClusterRedis, type SentinelRedis, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPublisher } from '../../src/index.ts'
import { startLocalNode } from '../support/local-node.ts'
import { expectComplete, faultsOf, passes, type Record, record, startCounting } from '../support/recorder.ts'
import { repeatedly, SOAK_TIME } from '../support/soak.ts'

let id = 0

async function onNodes(
  redis: Redis | Cluster,
  ids: readonly string[],
  work: (parts: {
    readonly records: readonly Record[]
    readonly publisher: ReturnType<typeof createPublisher>
  }) => Promise<void>,
) {
  const nodes = await Promise.all([1, 2].map(() => startLocalNode({ redis, checkInterval: 1_000 })))
  const publisher = createPublisher({ redis, timeout: 20_000 })
  const records = ids.flatMap((room) => nodes.map(({ url }) => record(url, room)))
  try {
    for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
    await work({ records, publisher })
  } finally {
    for (const one of records) await one.close()
    await publisher.close()
    await Promise.all(nodes.map((node) => node.close()))
  }
}

function countIn(publisher: ReturnType<typeof createPublisher>, ids: readonly string[]) {
  const all = ids.map((room) => publisher.room('job:{id}', { id: room }))
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
    await onNodes(client, ['0'], async ({ records, publisher }) => {
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

  it(
    'loses, doubles and reorders nothing when a slot moves and a shard fails over',
    () =>
      repeatedly(async (random) => {
        const ids = Array.from({ length: 4 }, () => `${id++}`)
        await onNodes(client, ids, async ({ records, publisher }) => {
          const counting = countIn(publisher, ids)
          await passes(counting, 15)
          // One room's slot moves, then the server of another fails over: which, the seed says.
          const [moved = '', failing = ''] = ids.toSorted(() => random() - 0.5)
          const meta = await metaOf(redis, moved)
          const from = await redis.primaryOf(meta)
          const others = (await redis.slots()).filter(({ primary }) => primary.port !== from.port)
          const to = others[Math.floor(random() * others.length)]?.primary
          if (!to) throw new Error('a second primary was asked for')
          await redis.migrateSlot(meta, to)
          await passes(counting, 15)
          await redis.failover({ of: await metaOf(redis, failing) })
          await passes(counting, 30)
          await expectComplete(records, await counting.stop())
        })
      }),
    60_000 + 2 * SOAK_TIME,
  )
})

async function metaOf(redis: ClusterRedis, id: string): Promise<string> {
  const shards = (await redis.slots()).map(({ primary }) => primary.command('KEYS', `rt:*:m:job:${id}`))
  const [key] = (await Promise.all(shards)).flat() as string[]
  if (key === undefined) throw new Error('the room has no key')
  return key
}
