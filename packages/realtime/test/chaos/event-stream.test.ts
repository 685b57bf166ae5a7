import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EventStreamSocket } from '../../src/client/sse.ts'
import { createPublisher } from '../../src/index.ts'
import { startBalancer } from '../support/balancer.ts'
import { type NodeProcess, startNodeProcess } from '../support/node-process.ts'
import { expectComplete, passes, type Record, record, startCounting } from '../support/recorder.ts'

let redis: StandaloneRedis
let client: Redis
let publisher: ReturnType<typeof createPublisher>
let balancer: Awaited<ReturnType<typeof startBalancer>>
let nodes: NodeProcess[]
let id = 0

beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url, { lazyConnect: true })
  publisher = createPublisher({ redis: client, history: { size: 10_000 } })
  nodes = await Promise.all([startNodeProcess(redis.url), startNodeProcess(redis.url)])
  balancer = await startBalancer(() => nodes.map(({ port }) => port))
})
afterAll(async () => {
  await balancer.close()
  await publisher.close()
  await Promise.all(nodes.map((node) => node.kill()))
  client.disconnect()
  await redis.close()
})

async function subscribed(count: number): Promise<Record[]> {
  id++
  const records = Array.from({ length: count }, () =>
    record(balancer.url, id, { WebSocket: EventStreamSocket }),
  )
  for (const one of records) await expect.poll(() => one.room.status).toBe('subscribed')
  return records
}

function count() {
  const room = publisher.room('job:{id}', { id })
  return startCounting((n, idempotencyKey) => room.publish('n', n, { idempotencyKey }))
}

describe('over event streams, behind a load balancer without sticky sessions', () => {
  it('what clients say reaches the room once and in order, whichever node gets it', async () => {
    const [speaker, listener] = await subscribed(2)
    if (!speaker || !listener) throw new Error('two clients were asked for')
    const told = Array.from({ length: 100 }, (_, n) => speaker.room.publish('n', n + 1))
    await Promise.all(told)
    await expectComplete([speaker, listener], 100)
  })

  it('clients lose, double and reorder nothing when their streams are reset again and again', async () => {
    const records = await subscribed(6)
    const counting = count()
    for (let round = 1; round <= 4; round++) {
      balancer.reset()
      await passes(counting, 20)
    }
    await expectComplete(records, await counting.stop())
  })

  it('nor when their node is killed with SIGKILL', async () => {
    const [records, fresh] = await Promise.all([subscribed(6), startNodeProcess(redis.url)])
    const counting = count()
    await passes(counting, 20)
    const [first, second] = nodes as [NodeProcess, NodeProcess]
    nodes = [second]
    await first.kill()
    await passes(counting, 50)
    await expectComplete(records, await counting.stop())
    nodes = [second, fresh]
  })

  it('nor when a node is drained, without a moment offline', async () => {
    const [records, fresh] = await Promise.all([subscribed(6), startNodeProcess(redis.url)])
    const interruptions: string[] = []
    for (const { room } of records) room.onStatus((status) => interruptions.push(status))
    const counting = count()
    const [first, second] = nodes as [NodeProcess, NodeProcess]
    nodes = [second, fresh]
    await first.drain(300)
    await expectComplete(records, await counting.stop())
    expect(interruptions.filter((status) => status !== 'closed')).toEqual([])
  })
})
