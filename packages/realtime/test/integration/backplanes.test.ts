import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { EventStreamSocket } from '../../src/client/sse.ts'
import { createPublisher, type SharedMemory } from '../../src/index.ts'
import { sharedMemory } from '../../src/testing.ts'
import { startBalancer } from '../support/balancer.ts'
import { type NodeOptions, startLocalNode } from '../support/local-node.ts'
import { range, rawSubscribe } from '../support/raw-client.ts'
import { expectComplete, faultsOf, record } from '../support/recorder.ts'

let redis: StandaloneRedis
let client: Redis
let id = 0
const closers: (() => unknown)[] = []
beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url, { lazyConnect: true })
})
afterEach(async () => {
  id++
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(async () => {
  client.disconnect()
  await redis.close()
})

type Backplane = { readonly redis: Redis } | { readonly memory: SharedMemory }

async function service(backplane: Backplane, options: NodeOptions = {}) {
  const start = async () => {
    const node = await startLocalNode({ ...backplane, ...options } as NodeOptions)
    closers.push(() => node.close())
    return node
  }
  const history = options.history ?? { size: 200 }
  const publisher = createPublisher({ ...backplane, history })
  closers.push(() => publisher.close())
  const first = await start()
  const room = publisher.room('job:{id}', { id })
  return { start, nodes: [first, await start()] as const, room, publisher }
}

async function joined(url: string) {
  const one = record(url, id)
  closers.push(() => one.close())
  await expect.poll(() => one.room.status).toBe('subscribed')
  return one
}

describe.each(['redis', 'memory'] as const)('two nodes that share a %s', (kind) => {
  const backplane = (): Backplane => (kind === 'redis' ? { redis: client } : { memory: sharedMemory() })

  it('give everybody the messages of all publishers, in one order', async () => {
    const { nodes, room } = await service(backplane())
    const seen = await Promise.all(nodes.flatMap(({ url }) => [url, url]).map(joined))
    const speakers = [room, ...nodes.map(({ realtime }) => realtime.room('job:{id}', { id } as never))]
    const said = range(1, 60).map((n) => speakers[n % 3]?.publish('n' as never, n as never))
    const positions = await Promise.all(said)
    expect(positions.map((position) => position?.offset).toSorted((a = 0, b = 0) => a - b)).toEqual(
      range(1, 60),
    )
    const [first] = seen
    await expect.poll(() => first?.numbers.length).toBe(60)
    for (const { numbers } of seen) await expect.poll(() => numbers).toEqual(first?.numbers)
    expect(await room.position()).toEqual(first?.room.position)
  })

  it('store a repeated key once, wherever it is repeated', async () => {
    const { nodes, room } = await service(backplane())
    const once = { idempotencyKey: 'k' }
    const position = await room.publish('n', 1, once)
    const again = nodes.map(({ realtime }) =>
      realtime.room('job:{id}', { id } as never).publish('n' as never, 1 as never, once),
    )
    expect(await Promise.all(again)).toEqual([position, position])
  })

  it('let a client go on at the other one', async () => {
    const { nodes, room } = await service(backplane())
    let { url } = nodes[0]
    const one = record(() => url, id)
    await expect.poll(() => one.room.status).toBe('subscribed')
    for (const n of range(1, 5)) await room.publish('n', n)
    await expect.poll(() => one.numbers.length).toBe(5)
    url = nodes[1].url
    await nodes[0].close()
    for (const n of range(6, 10)) await room.publish('n', n)
    await expectComplete([one], 10)
  })

  it('announce what the history no longer holds, and go on behind it', async () => {
    const { nodes, room } = await service(backplane(), { history: { size: 10 } })
    const { epoch } = await room.publish('n', 1)
    for (const n of range(2, 300)) await room.publish('n', n)
    const late = await rawSubscribe(nodes[1].url, `job:${id}`, { epoch, offset: 1 })
    closers.push(() => late.close())
    expect(late.recovered).toBe(2)
    await expect.poll(() => late.numbers.at(-1)).toBe(300)
    expect(late.numbers.length).toBeGreaterThanOrEqual(10)
    expect(faultsOf({ numbers: late.numbers as number[] })).toEqual([])
  })

  it('tell users and end their connections, on every node', async () => {
    const { nodes, publisher } = await service(backplane())
    const devices = await Promise.all(nodes.map(({ url }) => joined(url)))
    const notices: unknown[] = []
    for (const { client: one } of devices) {
      const user = one.user()
      user.on('notice', (data) => notices.push(data))
      await expect.poll(() => user.status).toBe('subscribed')
    }
    await publisher.user('ann').publish('notice', 'hi')
    await expect.poll(() => notices).toEqual(['hi', 'hi'])
    await nodes[0].realtime.user('ann').disconnect()
    for (const { client: one } of devices) await expect.poll(() => one.status).toBe('stopped')
  })

  it('carry event streams whose requests reach either', async () => {
    const { nodes } = await service(backplane())
    const balancer = await startBalancer(() => nodes.map(({ port }) => port))
    closers.push(() => balancer.close())
    const one = record(balancer.url, id, { WebSocket: EventStreamSocket })
    closers.push(() => one.close())
    for (const n of range(1, 10)) await one.room.publish('n', n)
    await expect.poll(() => one.numbers).toEqual(range(1, 10))
  })
})

describe('a shared memory', () => {
  it('that is down has publishes fail and joins wait, and nothing is lost when it is back', async () => {
    const memory = sharedMemory()
    const { nodes, room } = await service({ memory })
    const one = await joined(nodes[0].url)
    await room.publish('n', 1)
    memory.down()
    expect(nodes[0].realtime.health()).toMatchObject({ status: 'degraded', broker: { commands: 'down' } })
    await expect(room.publish('n', 2)).rejects.toMatchObject({
      code: 'REALTIME_ERR_UNAVAILABLE',
      retryable: true,
    })
    const late = record(nodes[1].url, id)
    closers.push(() => late.close())
    await late.client.connect()
    expect(late.room.status).toBe('subscribing')
    expect(one.client.status).toBe('connected')
    memory.up()
    await expect.poll(() => late.room.status).toBe('subscribed')
    await room.publish('n', 2)
    await expect.poll(() => late.numbers).toEqual([2])
    await expectComplete([one], 2)
  })

  it('that loses what it was told last announces it to those who had seen it, and to nobody else', async () => {
    const memory = sharedMemory()
    const { nodes, room, start } = await service({ memory })
    const above = await Promise.all(nodes.map(({ url }) => joined(url)))
    const { epoch } = await room.position()
    for (const n of range(1, 10)) await room.publish('n', n)
    for (const { numbers } of above) await expect.poll(() => numbers.length).toBe(10)
    memory.lose(3)
    for (const n of range(11, 15)) await room.publish('n', n)
    for (const one of above) {
      await expect.poll(() => one.numbers.at(-1)).toBe(15)
      expect(one.gaps.map(({ after, gap }) => [after, gap.reason])).toEqual([[10, 'lost']])
      expect(faultsOf(one)).toEqual([])
    }
    const below = await rawSubscribe((await start()).url, `job:${id}`, { epoch, offset: 5 })
    closers.push(() => below.close())
    expect(below.recovered).toBe(1)
    await expect.poll(() => below.numbers).toEqual([6, 7, ...range(11, 15)])
  })
})
