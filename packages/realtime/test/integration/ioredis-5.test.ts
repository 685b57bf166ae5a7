import { startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis-5'
import { describe, expect, it } from 'vitest'
import { createPublisher } from '../../src/index.ts'
import type { RedisClient } from '../../src/redis-client.ts'
import { startLocalNode } from '../support/local-node.ts'
import { faultsOf, record } from '../support/recorder.ts'
import { watch } from '../support/watcher.ts'

/** Two nodes: messages through a lost subscription, and presence. */
async function exercise(redis: RedisClient, disturb: () => Promise<unknown>) {
  const nodes = await Promise.all([1, 2].map(() => startLocalNode({ redis, checkInterval: 500 })))
  const publisher = createPublisher({ redis, timeout: 10_000 })
  const records = nodes.map(({ url }) => record(url, 1))
  const people = nodes.map(({ url }, n) => watch(url, 1, `user${n}`))
  try {
    for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
    const room = publisher.room('job:{id}', { id: 1 })
    for (let n = 1; n <= 20; n++) {
      if (n === 10) await disturb()
      await room.publish('n', n)
    }
    for (const one of records) {
      await expect.poll(() => one.numbers.at(-1)).toBe(20)
      expect(faultsOf(one)).toEqual([])
    }
    for (const { presence } of people) await presence.enter('here')
    for (const { users } of people) await expect.poll(users).toEqual(['user0', 'user1'])
  } finally {
    await Promise.all([...records, ...people, publisher, ...nodes].map((one) => one.close()))
  }
}

describe('with ioredis 5', () => {
  it('all works on one server', async () => {
    const server = await startRedis()
    const client = new Redis(server.url, { lazyConnect: true })
    await exercise(client, () => server.killClients('pubsub'))
    client.disconnect()
    await server.close()
  })

  it('all works on a cluster', async () => {
    const cluster = await startRedis({ mode: 'cluster' })
    const client = new Cluster(
      cluster.nodes.map(({ host, port }) => ({ host, port })),
      { lazyConnect: true },
    )
    await exercise(client, async () => {})
    client.disconnect()
    await cluster.close()
  })
})
