import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { defineContract, type Schema, unchecked } from '../../src/index.ts'
import { sharedMemory } from '../../src/testing.ts'
import { type NodeOptions, startLocalNode } from '../support/local-node.ts'
import { enterRaw, watch } from '../support/watcher.ts'

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

async function start(options: NodeOptions = {}) {
  const node = await startLocalNode({ redis: client, ...options })
  closers.push(() => node.close())
  return node
}

function watching(url: string, user?: string) {
  const one = watch(url, id, user)
  closers.push(() => one.close())
  return one
}

async function calls(command: string): Promise<number> {
  const stats = String(await redis.command('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

describe.each(['redis', 'memory'] as const)('who is in a room, on nodes that share a %s', (kind) => {
  const pair = async (options: NodeOptions = {}) => {
    const shared =
      kind === 'redis' ? options : { ...options, redis: undefined as never, memory: sharedMemory() }
    return [await start(shared), await start(shared)] as const
  }

  it('is told to everybody who watches, on every node', async () => {
    const [a, b] = await pair()
    const observer = watching(a.url)
    const [ann, ben] = [watching(a.url, 'ann'), watching(b.url, 'ben')]
    await ann.presence.enter({ at: 1 })
    await ben.presence.enter({ at: 2 })
    await expect.poll(observer.users).toEqual(['ann', 'ben'])
    await ann.presence.enter({ at: 3 })
    await expect.poll(() => ben.presence.members).toContainEqual({ userId: 'ann', data: { at: 3 } })
    expect(await b.realtime.presence('job:{id}', { id } as never)).toHaveLength(2)
    await ben.presence.leave()
    await expect.poll(observer.users).toEqual(['ann'])
    await ann.close()
    await expect.poll(observer.users).toEqual([])
    expect(observer.changes).toEqual(['+ann', '+ben', '~ann', '-ben', '-ann'])
  })

  it('counts a user once, however many connections they have, until the last one leaves', async () => {
    const [a, b] = await pair()
    const observer = watching(a.url)
    const tabs = [watching(a.url, 'ann'), watching(a.url, 'ann'), watching(b.url, 'ann')]
    for (const tab of tabs) await tab.presence.enter('here')
    await expect.poll(observer.users).toEqual(['ann'])
    for (const tab of tabs) await tab.close()
    await expect.poll(observer.users).toEqual([])
    expect(observer.changes).toEqual(['+ann', '-ann'])
  })

  it('does not change when a connection breaks and comes back within the grace', async () => {
    const [a, b] = await pair({ presence: { grace: '60s' } })
    const proxy = await startFaultProxy({ port: b.port })
    closers.push(() => proxy.close())
    const observer = watching(a.url)
    const ann = watching(`ws://127.0.0.1:${proxy.port}/rt`, 'ann')
    await ann.presence.enter('here')
    await expect.poll(observer.users).toEqual(['ann'])
    let connected = 0
    ann.client.onStatus((status) => {
      if (status === 'connected') connected++
    })
    for (let round = 1; round <= 3; round++) {
      proxy.reset()
      await expect.poll(() => connected).toBe(round)
      await expect.poll(() => ann.presence.status).toBe('subscribed')
      await expect.poll(ann.users).toEqual(['ann'])
    }
    // Whoever enters now is told after whatever the breaks could have caused.
    const ben = watching(a.url, 'ben')
    await ben.presence.enter('here')
    await expect.poll(observer.users).toEqual(['ann', 'ben'])
    expect(observer.changes).toEqual(['+ann', '+ben'])
  })

  it('ends for who does not come back within the grace', async () => {
    const [a] = await pair({ presence: { grace: 200 } })
    const observer = watching(a.url)
    const raw = await enterRaw(a.url, id, 'ann')
    await expect.poll(observer.users).toEqual(['ann'])
    raw.close()
    await expect.poll(observer.users).toEqual([])
    expect(observer.changes).toEqual(['+ann', '-ann'])
  })
})

describe('who is in a room, when Redis evicts it', () => {
  it('is said again by every node, and cleaned up as ever', async () => {
    const changes: unknown[] = []
    const told = (message: unknown) =>
      changes.push((message as { attributes: { change: string } }).attributes.change)
    subscribe('cays:realtime:presence', told)
    closers.push(() => unsubscribe('cays:realtime:presence', told))
    const nodes = [await start({ checkInterval: 200 }), await start({ checkInterval: 200 })] as const
    const observer = watching(nodes[0].url)
    const people = [watching(nodes[0].url, 'ann'), watching(nodes[1].url, 'ben')]
    for (const { presence } of people) await presence.enter('here')
    await expect.poll(observer.users).toEqual(['ann', 'ben'])
    const lost = async () => [
      ...((await redis.command('KEYS', `rt:*:p:@job:${id}`)) as string[]),
      ...((await redis.command('KEYS', 'rt:*:l:*')) as string[]),
    ]
    expect(await redis.evict(await lost())).toBe(3)
    const members = () => nodes[0].realtime.presence('job:{id}', { id } as never)
    await expect.poll(members).toHaveLength(2)
    expect(changes.toSorted()).toEqual(['enter', 'enter', 'repair', 'repair'])
    expect(observer.users()).toEqual(['ann', 'ben'])
    // A node that ends finds the rooms it has to leave.
    for (const node of nodes) await node.realtime.close()
    expect(await lost()).toEqual([])
  })
})

describe('the right to be seen', () => {
  it('is what the rule of the room says', async () => {
    const grants = { ann: true, wim: 'watch', nil: false } as const
    const node = await start({
      authorize: {
        'job:{id}': (who: { userId: keyof typeof grants }) => ({ presence: grants[who.userId] }),
      } as never,
    })
    const [ann, wim, nil] = [watching(node.url, 'ann'), watching(node.url, 'wim'), watching(node.url, 'nil')]
    await ann.presence.enter('here')
    await expect.poll(wim.users).toEqual(['ann'])
    await expect(wim.presence.enter('here')).rejects.toMatchObject({ remoteCode: 'forbidden' })
    await expect.poll(() => nil.presence.status).toBe('denied')
  })

  it('covers data that fits the contract and its size alone', async () => {
    const named: Schema<{ name: string }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          typeof (value as { name?: unknown }).name === 'string'
            ? { value: { name: (value as { name: string }).name } }
            : { issues: [{ message: 'a name is missing' }] },
      },
    }
    const contract = defineContract({
      rooms: { 'job:{id}': { events: { n: unchecked<number>() }, presence: named } },
    })
    const node = await start({ contract: contract as never })
    const ann = watching(node.url, 'ann')
    const enter = (data: unknown) => ann.presence.enter(data as never)
    await expect(enter({ age: 3 })).rejects.toMatchObject({ remoteCode: 'invalid_data' })
    await expect(enter({ name: 'x'.repeat(5_000) })).rejects.toMatchObject({ remoteCode: 'too_large' })
    await enter({ name: 'Ann', secret: 1 })
    await expect.poll(() => ann.presence.members).toEqual([{ userId: 'ann', data: { name: 'Ann' } }])
  })
})

describe('what presence costs', () => {
  it('grows with nodes and with those who come and go, not with connections, rooms or time', async () => {
    const presence = { lease: 3_000 }
    const nodes = [await start({ presence }), await start({ presence })]
    const users = Array.from({ length: 20 }, (_, n) => `user${n}`)
    for (const node of nodes) {
      for (const user of users) {
        for (const room of ['a', 'b', 'c']) {
          const raw = await enterRaw(node.url, `${id}${room}`, user)
          closers.push(() => raw.close())
        }
      }
    }
    const before = { hset: await calls('hset'), renewals: await calls('zadd'), adds: await calls('xadd') }
    // 120 connections in three rooms, for some renewals of each node's lease.
    await expect.poll(() => calls('zadd')).toBeGreaterThan(before.renewals + 6)
    expect(await calls('hset')).toBe(before.hset)
    expect(await calls('xadd')).toBe(before.adds)
  })
})
