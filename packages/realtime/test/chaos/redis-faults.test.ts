import { type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createPublisher } from '../../src/index.ts'
import { startLocalNode } from '../support/local-node.ts'
import { range, rawSubscribe } from '../support/raw-client.ts'
import { expectComplete, faultsOf, passes, type Record, record, startCounting } from '../support/recorder.ts'

// Long enough for whatever a busy machine takes.
const history = { size: 10_000 }
let redis: StandaloneRedis
let client: Redis
beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url, { lazyConnect: true })
})
afterAll(async () => {
  client.disconnect()
  await redis.close()
})

type Local = Awaited<ReturnType<typeof startLocalNode>>
let nodes: Local[]
let publisher: ReturnType<typeof createPublisher>
let id = 0
let checkInterval = 500
beforeEach(async () => {
  id++
  nodes = await Promise.all([1, 2].map(() => startLocalNode({ redis: client, history, checkInterval })))
  // So patient that one command left hanging would be noticed.
  publisher = createPublisher({ redis: client, history, timeout: 60_000 })
})
afterEach(async () => {
  await publisher.close()
  await Promise.all(nodes.map((node) => node.close()))
})

async function subscribed(count: number): Promise<Record[]> {
  const records = Array.from({ length: count }, (_, i) => record(nodes[i % nodes.length]?.url ?? '', id))
  await Promise.all(records.map((one) => expect.poll(() => one.room.status).toBe('subscribed')))
  return records
}

function count() {
  const room = publisher.room('job:{id}', { id })
  return startCounting((n, idempotencyKey) => room.publish('n', n, { idempotencyKey }))
}

describe('while Redis misbehaves, clients lose, double and reorder nothing', () => {
  it('when its pub/sub connections are killed again and again', async () => {
    const records = await subscribed(6)
    const counting = count()
    for (let round = 0; round < 4; round++) {
      await passes(counting, 20)
      await redis.killClients('pubsub')
    }
    await passes(counting, 40)
    await expectComplete(records, await counting.stop())
  })

  it('when it is killed and comes back with its append-only file', async () => {
    const records = await subscribed(6)
    const counting = count()
    await passes(counting, 20)
    await redis.restart({ data: 'aof' })
    await passes(counting, 50)
    await expectComplete(records, await counting.stop())
  })

  it('when it forgets its scripts', async () => {
    const records = await subscribed(2)
    const counting = count()
    for (let round = 0; round < 4; round++) {
      await passes(counting, 5)
      await redis.flushScripts()
    }
    await expectComplete(records, await counting.stop())
  })

  it('when it is frozen for longer than its clients wait', async () => {
    const records = await subscribed(4)
    const impatient = createPublisher({ redis: client, history, timeout: 500 })
    const room = impatient.room('job:{id}', { id })
    let refused = 0
    const counting = startCounting(async (n, idempotencyKey) => {
      try {
        return await room.publish('n', n, { idempotencyKey })
      } catch (error) {
        refused++
        throw error
      }
    })
    await passes(counting, 10)
    await redis.freeze()
    await expect.poll(() => refused).toBeGreaterThan(2)
    await redis.thaw()
    await passes(counting, 10)
    await expectComplete(records, await counting.stop())
    await impatient.close()
  })
})

describe('while Redis is slow', () => {
  it('publishes, joins and messages take as long, and nothing else happens', async () => {
    const proxy = await startFaultProxy(redis.url)
    const behind = new Redis(proxy.url, { lazyConnect: true })
    const node = await startLocalNode({ redis: behind, history, checkInterval: 1_000 })
    const one = record(node.url, id)
    await expect.poll(() => one.room.status).toBe('subscribed')
    proxy.set({ latency: 100, jitter: 50 })
    const late = record(node.url, id)
    await expect.poll(() => late.room.status).toBe('subscribed')
    const room = node.realtime.room('job:{id}', { id } as never)
    const counting = startCounting((n, key) =>
      room.publish('n' as never, n as never, { idempotencyKey: key }),
    )
    await passes(counting, 5)
    expect(node.realtime.health().status).toBe('ok')
    await expectComplete([one, late], await counting.stop())
    await node.close()
    behind.disconnect()
    await proxy.close()
  })
})

describe('while Redis cannot serve', () => {
  it('sockets stay, publishes fail in time and may be repeated, and those who join a room new to their node wait', async () => {
    const impatient = createPublisher({ redis: client, timeout: 300 })
    const room = impatient.room('job:{id}', { id })
    const there = record(nodes[0]?.url ?? '', id)
    await expect.poll(() => there.room.status).toBe('subscribed')
    const statuses: string[] = []
    there.client.onStatus((status) => statuses.push(status))
    await redis.kill()
    await expect(room.publish('n', 1)).rejects.toMatchObject({
      code: 'REALTIME_ERR_UNAVAILABLE',
      retryable: true,
    })
    // The first node follows the room already; the second does not.
    const same = record(nodes[0]?.url ?? '', id)
    await expect.poll(() => same.room.status).toBe('subscribed')
    const one = record(nodes[1]?.url ?? '', id)
    await one.client.connect()
    await expect
      .poll(() => nodes[1]?.realtime.health())
      .toMatchObject({ status: 'degraded', broker: { commands: 'down' } })
    expect(one.room.status).toBe('subscribing')
    await redis.start()
    await expect.poll(() => one.room.status).toBe('subscribed')
    await publisher.room('job:{id}', { id }).publish('n', 1)
    for (const { numbers } of [one, there, same]) await expect.poll(() => numbers).toEqual([1])
    expect(statuses).toEqual([])
    for (const each of [one, there, same]) await each.close()
    await impatient.close()
  })

  it('because its connections are half-open, a ping finds out and nothing is lost', async () => {
    const proxy = await startFaultProxy(redis.url)
    const behind = new Redis(proxy.url, { lazyConnect: true })
    const node = await startLocalNode({ redis: behind, history, checkInterval: 300 })
    const one = record(node.url, id)
    await expect.poll(() => one.room.status).toBe('subscribed')
    const counting = count()
    await passes(counting, 10)
    proxy.set({ blackhole: true })
    await expect.poll(() => node.realtime.health().status).toBe('degraded')
    await proxy.heal()
    await expect.poll(() => node.realtime.health().status).toBe('ok')
    await expectComplete([one], await counting.stop())
    await node.close()
    behind.disconnect()
    await proxy.close()
  })

  it('because it is full, publishes are refused and what is stored is delivered', async () => {
    const [one] = await subscribed(1)
    const room = publisher.room('job:{id}', { id })
    await room.publish('n', 1)
    await redis.config({ maxmemory: 1 })
    try {
      await expect(room.publish('n', 2)).rejects.toMatchObject({ code: 'REALTIME_ERR_REFUSED' })
    } finally {
      await redis.config({ maxmemory: 0 })
    }
    await room.publish('n', 2)
    if (one) await expectComplete([one], 2)
  })

  it('a repeated idempotency key is stored once', async () => {
    const [one] = await subscribed(1)
    const room = publisher.room('job:{id}', { id })
    const options = { idempotencyKey: 'k' }
    const first = await room.publish('n', 1, options)
    expect(await Promise.all([room.publish('n', 1, options), room.publish('n', 1, options)])).toEqual([
      first,
      first,
    ])
    await room.publish('n', 2)
    if (one) await expectComplete([one], 2)
  })

  it('a user is disconnected on every node, also on one that was cut off from Redis', async () => {
    const records = await subscribed(4)
    await redis.killClients('pubsub')
    await nodes[0]?.realtime.user('ann').disconnect({ reason: 'revoked' })
    for (const one of records) {
      await expect.poll(() => one.client.status).toBe('stopped')
      expect(one.client.error).toMatchObject({ closeCode: 4503, message: 'revoked' })
    }
  })
})

describe('what Redis itself has lost is announced, never passed over', () => {
  // Checks write too: the last writes have to be the publishes, however long they took.
  beforeAll(() => {
    checkInterval = 600_000
  })

  it('when it comes back without its last writes', async () => {
    const records = await subscribed(4)
    const room = publisher.room('job:{id}', { id })
    for (let n = 1; n <= 20; n++) await room.publish('n', n)
    for (const one of records) await expect.poll(() => one.numbers.length).toBe(20)
    await redis.restart({ data: { loseLast: 5 } })
    for (let n = 21; n <= 30; n++) await room.publish('n', n)
    for (const one of records) {
      await expect.poll(() => one.numbers.at(-1)).toBe(30)
      expect(one.gaps.map(({ gap }) => gap.reason)).toEqual(['lost'])
      expect(faultsOf(one)).toEqual([])
      await one.close()
    }
  })

  it('to those above the loss alone; who is below goes on without a gap', async () => {
    const [above, below] = await subscribed(2)
    if (!above || !below) throw new Error('two clients were asked for')
    const room = publisher.room('job:{id}', { id })
    for (let n = 1; n <= 10; n++) await room.publish('n', n)
    await expect.poll(() => below.numbers.length).toBe(10)
    const position = below.room.position
    await below.close()
    for (let n = 11; n <= 20; n++) await room.publish('n', n)
    await expect.poll(() => above.numbers.length).toBe(20)
    // One entry of the file per publish: 16 to 20 are gone, 11 to 15 are left.
    await redis.restart({ data: { loseLast: 5 } })
    for (let n = 21; n <= 40; n++) await room.publish('n', n)
    await expect.poll(() => above.numbers.at(-1)).toBe(40)
    expect(above.gaps).toHaveLength(1)
    expect(faultsOf(above)).toEqual([])
    // A node that has not seen the room before, and knows what Redis tells it.
    const fresh = await startLocalNode({ redis: client })
    nodes.push(fresh)
    const socket = await rawSubscribe(fresh.url, `job:${id}`, position)
    expect(socket.recovered).toBe(1)
    await expect.poll(() => socket.numbers).toEqual([...range(11, 15), ...range(21, 40)])
    socket.close()
    await above.close()
  })

  it('when it comes back empty', async () => {
    const records = await subscribed(4)
    const counting = count()
    await passes(counting, 20)
    await redis.restart({ data: 'empty' })
    await passes(counting, 50)
    const last = await counting.stop()
    for (const one of records) {
      await expect.poll(() => one.numbers.at(-1)).toBe(last)
      expect([...new Set(one.gaps.map(({ gap }) => gap.reason))]).toEqual(['lost'])
      expect(faultsOf(one)).toEqual([])
      await one.close()
    }
  })

  it('when the room was evicted', async () => {
    const [one] = await subscribed(1)
    if (!one) throw new Error('a client was asked for')
    const room = publisher.room('job:{id}', { id })
    for (let n = 1; n <= 5; n++) await room.publish('n', n)
    await expect.poll(() => one.numbers.length).toBe(5)
    const keys = (await redis.command('KEYS', `rt:*job:${id}*`)) as string[]
    await redis.evict(keys)
    for (let n = 6; n <= 9; n++) await room.publish('n', n)
    await expect.poll(() => one.numbers.at(-1)).toBe(9)
    expect(one.gaps.map(({ gap }) => gap.reason)).toEqual(['lost'])
    expect(faultsOf(one)).toEqual([])
    await one.close()
  })

  it('when the history is shorter than an absence', async () => {
    const short = await startLocalNode({ redis: client, history: { size: 5 } })
    const small = createPublisher({ redis: client, history: { size: 5 } })
    const proxy = await startFaultProxy({ port: short.port })
    const one = record(`ws://127.0.0.1:${proxy.port}/rt`, id)
    await expect.poll(() => one.room.status).toBe('subscribed')
    const room = small.room('job:{id}', { id })
    for (let n = 1; n <= 3; n++) await room.publish('n', n)
    await expect.poll(() => one.numbers.length).toBe(3)
    proxy.refuse()
    proxy.reset()
    for (let n = 4; n <= 400; n++) await room.publish('n', n)
    await proxy.accept()
    await expect.poll(() => one.gaps.length).toBe(1)
    await room.publish('n', 401)
    // What is left of the history follows the gap.
    await expect.poll(() => one.numbers.at(-1)).toBe(401)
    expect(one.numbers.slice(-5)).toEqual(range(397, 401))
    expect(one.gaps[0]?.gap.reason).toBe('trimmed')
    expect(faultsOf(one)).toEqual([])
    await one.close()
    await proxy.close()
    await small.close()
    await short.close()
  })
})
