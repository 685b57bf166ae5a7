import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startLocalNode } from '../support/local-node.ts'
import { startNodeProcess } from '../support/node-process.ts'
import { SOAK } from '../support/soak.ts'
import { enterRaw, watch } from '../support/watcher.ts'

let redis: StandaloneRedis
let client: Redis
let survivor: Awaited<ReturnType<typeof startLocalNode>>
let id = 0
const closers: (() => unknown)[] = []
beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url, { lazyConnect: true })
  // How soon it buries others; nobody who counts their own coming and going sits on it.
  survivor = await startLocalNode({ redis: client, ...(SOAK ? {} : { presence: { lease: 1_500 } }) })
})
afterEach(async () => {
  id++
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(async () => {
  await survivor.close()
  client.disconnect()
  await redis.close()
})

const users = Array.from({ length: 10 }, (_, n) => `user${n}`)

async function observe() {
  const observer = watch(survivor.url, id)
  closers.push(() => observer.close())
  await expect.poll(() => observer.presence.status).toBe('subscribed')
  return observer
}

async function process(options: object = {}) {
  const node = await startNodeProcess(redis.url, options)
  closers.push(() => node.kill())
  return node
}

/** Everybody enters once and leaves once, and in between there is nothing. */
function expectOneComingAndGoing(changes: readonly string[]) {
  expect(changes.toSorted()).toEqual(users.flatMap((user) => [`+${user}`, `-${user}`]).toSorted())
}

describe('who was on a node', () => {
  it('is gone after its lease when it is killed with SIGKILL, with one leave each', async () => {
    // As a soak the lease ends by itself; else when the test says so, however long the machine stands still.
    const node = await process(SOAK ? {} : { presence: { lease: '10m' } })
    const observer = await observe()
    for (const user of users) await enterRaw(node.url, id, user)
    await expect.poll(() => observer.users().length).toBe(users.length)
    const killed = performance.now()
    await node.kill()
    if (!SOAK) await endLongestLease()
    await expect.poll(observer.users, { interval: 20 }).toEqual([])
    const gone = Math.round(performance.now() - killed)
    console.log(`ghosts gone ${gone} ms after SIGKILL`)
    // On a machine that does nothing else; unit/node-presence proves it by a fake clock.
    if (SOAK) expect(gone).toBeLessThan(10_000)
    expectOneComingAndGoing(observer.changes)
    expect(await survivor.realtime.presence('job:{id}', { id } as never)).toEqual([])
    // Nothing of the dead is left in Redis.
    expect(await redis.command('KEYS', 'rt:*:l:*')).toEqual([])
  })

  it('is gone at once when it ends gracefully', async () => {
    // With such a lease only the node itself can have told it.
    const node = await process({ presence: { lease: '10m', grace: '10m' } })
    const observer = await observe()
    for (const user of users) await enterRaw(node.url, id, user)
    await expect.poll(() => observer.users().length).toBe(users.length)
    await node.close()
    await expect.poll(observer.users).toEqual([])
    expectOneComingAndGoing(observer.changes)
  })

  it('never leaves when clients go on at another node, killed or drained', async () => {
    // Believed for as long as clients may need to move, however busy the machine.
    const [first, second] = await Promise.all([process({ presence: { lease: '10m' } }), process()])
    const observer = await observe()
    let url = first.url
    const clients = users.map((user) => watch((() => url) as never, id, user))
    for (const one of clients) closers.push(() => one.close())
    for (const one of clients) await one.presence.enter('here')
    url = second.url
    await first.kill()
    for (const one of clients) await expect.poll(() => one.presence.status).toBe('subscribed')
    await endLongestLease()
    // It is buried when its rooms are gone from Redis.
    await expect.poll(leases).toBe(2)
    url = survivor.url
    await second.drain(300)
    await expect.poll(observer.users).toEqual([...users].toSorted())
    expect(observer.changes.toSorted()).toEqual(users.map((user) => `+${user}`).toSorted())
  })

  it('is there again when the node was frozen for longer than its lease', async () => {
    const node = await process({ presence: { lease: 600 } })
    const observer = await observe()
    for (const user of users) await enterRaw(node.url, id, user)
    await expect.poll(() => observer.users().length).toBe(users.length)
    node.freeze()
    await expect.poll(observer.users).toEqual([])
    node.thaw()
    await expect.poll(() => observer.users().length).toBe(users.length)
  })

  it('is there again when Redis comes back without its data, or without the last of it', async () => {
    const observer = await observe()
    for (const user of users) {
      const raw = await enterRaw(survivor.url, id, user)
      closers.push(() => raw.close())
    }
    await expect.poll(() => observer.users().length).toBe(users.length)
    for (const data of ['empty', { loseLast: 4 }] as const) {
      await redis.restart({ data })
      await expect
        .poll(() => survivor.realtime.presence('job:{id}', { id } as never).catch(() => []))
        .toHaveLength(users.length)
      await expect.poll(() => observer.users()).toEqual([...users].toSorted())
    }
  })
})

async function leaseKey(): Promise<string> {
  const [key = ''] = (await redis.command('KEYS', 'rt:*:n')) as string[]
  return key
}

async function leases(): Promise<number> {
  return Number(await redis.command('ZCARD', await leaseKey()))
}

async function endLongestLease(): Promise<void> {
  const key = await leaseKey()
  const [node = ''] = (await redis.command('ZRANGE', key, '-1', '-1')) as string[]
  await redis.command('ZADD', key, '1', node)
}
