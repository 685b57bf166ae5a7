import { type ClusterRedis, type FaultProxy, startFaultProxy, startRedis } from '@cays/testkit'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ClusterSubscriber } from '../../src/cluster-subscriber.ts'
import { createPublisher } from '../../src/index.ts'
import { startLocalNode } from '../support/local-node.ts'
import { expectComplete, passes, record, startCounting } from '../support/recorder.ts'

let redis: ClusterRedis
/** Speaks to the servers themselves. */
let direct: Cluster
/** Speaks to them through proxies, one each. */
let behind: Cluster
let proxies: ReadonlyMap<number, FaultProxy>
beforeAll(async () => {
  redis = await startRedis({ mode: 'cluster' })
  const nodes = redis.nodes.map(({ host, port }) => ({ host, port }))
  proxies = new Map(
    await Promise.all(nodes.map(async (node) => [node.port, await startFaultProxy(node)] as const)),
  )
  const natMap = Object.fromEntries(
    nodes.map(({ host, port }) => [`${host}:${port}`, { host, port: proxies.get(port)?.port ?? 0 }]),
  )
  direct = new Cluster(nodes)
  behind = new Cluster(nodes, { natMap, lazyConnect: true })
})
afterAll(async () => {
  direct?.disconnect()
  behind?.disconnect()
  for (const proxy of proxies?.values() ?? []) await proxy.close()
  await redis?.close()
})

async function proxyOf(key: string): Promise<FaultProxy> {
  const { port } = await redis.primaryOf(key)
  const proxy = proxies.get(port)
  if (!proxy) throw new Error('a proxy for every primary was asked for')
  return proxy
}

it('a subscription to a shard that is silently dead is noticed, and replaced by one that hears', async () => {
  const channels = ['rt:{a}:s:one', 'rt:{b}:s:two']
  const [channel = ''] = channels
  const told: string[] = []
  let resumed = 0
  const subscriber = new ClusterSubscriber({
    client: behind,
    heartbeat: 1_000,
    say: (to, text) => direct.spublish(to, text),
    message: (_, text) => told.push(text),
    resumed: () => resumed++,
  })
  // Said again and again: a connection that is too slow for a moment is replaced as well.
  const heard = async (text: string) => {
    await direct.spublish(channel, text)
    return told
  }
  try {
    for (const one of channels) await subscriber.subscribe(one)
    await expect.poll(() => subscriber.up).toBe(true)
    await expect.poll(() => heard('before')).toContain('before')
    const proxy = await proxyOf(channel)
    proxy.set({ blackhole: true })
    // The connection is still open, and nobody says that it hears nothing any more.
    await expect.poll(() => subscriber.up).toBe(false)
    const before = resumed
    await proxy.heal()
    await expect.poll(() => subscriber.up).toBe(true)
    await expect.poll(() => resumed).toBeGreaterThan(before)
    await expect.poll(() => heard('after')).toContain('after')
  } finally {
    subscriber.close()
  }
})

it('clients lose nothing while their node cannot hear one of the shards', async () => {
  const history = { size: 10_000 }
  const node = await startLocalNode({ redis: behind, history, checkInterval: 1_000 })
  const publisher = createPublisher({ redis: direct, history })
  const records = [0, 1, 2, 3].map((id) => record(node.url, id))
  try {
    for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
    const rooms = records.map((_, id) => publisher.room('job:{id}', { id }))
    const counting = startCounting((n, idempotencyKey) =>
      Promise.all(rooms.map((room) => room.publish('n', n, { idempotencyKey }))),
    )
    await passes(counting, 10)
    const proxy = [...proxies.values()][0]
    proxy?.set({ blackhole: true })
    await passes(counting, 40)
    await proxy?.heal()
    await passes(counting, 20)
    await expectComplete(records, await counting.stop())
  } finally {
    for (const one of records) await one.close()
    await publisher.close()
    await node.close()
  }
})
