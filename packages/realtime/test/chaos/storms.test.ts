import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { faultyNetwork, type WebSocketConstructor } from '../../src/testing.ts'
import { startLocalNode } from '../support/local-node.ts'
import { expectComplete, type Record, record, startCounting } from '../support/recorder.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { p99, SOAK } from '../support/soak.ts'

// As a soak: more clients. Each is cut as often as it would be in a minute of cuts every 15 s, but sooner.
const CLIENTS = SOAK ? 1_000 : 100
const CROWD = SOAK ? 300 : 100
const CUTS = 4
let redis: StandaloneRedis
let client: Redis
let id = 0
beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url, { lazyConnect: true })
})
afterAll(async () => {
  client.disconnect()
  await redis.close()
})

const crowd = { connectionsPerUser: 2_000, connectionsPerAddress: 2_000, handshakes: 2_000 }

function start() {
  // What is not needed to recover does not run: every read counted is a recovery's.
  return startLocalNode({
    redis: client,
    limits: crowd,
    history: { size: 10_000 },
    checkInterval: 600_000,
  })
}

async function historyReads(): Promise<number> {
  const stats = String(await redis.command('INFO', 'commandstats'))
  return Number(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

async function subscribed(
  count: number,
  url: () => string,
  options: Parameters<typeof record>[2] = {},
): Promise<Record[]> {
  const records: Record[] = []
  // All at once they would wait for each other longer than a client waits: they share a process with their node.
  while (records.length < count) {
    const some = Array.from({ length: Math.min(100, count - records.length) }, () => record(url, id, options))
    for (const one of some) await expect.poll(() => one.room.status).toBe('subscribed')
    records.push(...some)
  }
  return records
}

describe('when everybody comes back at once', () => {
  it('a node reads the history of a room once, and everybody has all of it', async () => {
    id++
    const [first, second, speaker] = await Promise.all([start(), start(), start()])
    let url = first.url
    const records = await subscribed(CROWD, () => url)
    const room = speaker.realtime.room('job:{id}', { id } as never)
    for (let n = 1; n <= 50; n++) await room.publish('n' as never, n as never)
    for (const one of records) await expect.poll(() => one.numbers.length).toBe(50)
    const before = await historyReads()
    url = second.url
    await first.close()
    for (let n = 51; n <= 100; n++) await room.publish('n' as never, n as never)
    await expectComplete(records, 100)
    const reads = (await historyReads()) - before
    console.log(`${CROWD} clients came back to a node that did not know the room: ${reads} history reads`)
    expect(reads).toBeLessThanOrEqual(1)
    await Promise.all([second.close(), speaker.close()])
  })
})

describe('when connections are cut all the time', () => {
  it(
    `${CLIENTS} clients still lose, double and reorder nothing`,
    async () => {
      id++
      const seed = Date.now() % 1_000_000
      const random = seededRandom(seed)
      const node = await start()
      const network = faultyNetwork(WebSocket as WebSocketConstructor, random)
      const records = await subscribed(CLIENTS, () => node.url, { WebSocket: network.WebSocket })
      const replays: number[] = []
      const room = node.realtime.room('job:{id}', { id } as never)
      const counting = startCounting(
        (n, idempotencyKey) => room.publish('n' as never, n as never, { idempotencyKey }),
        10,
      )
      for (const { client: one, numbers, room: joined } of records) {
        one.onStatus((status) => {
          if (status !== 'connected') return
          const [since, missed] = [performance.now(), counting.count() - 1]
          const remove = joined.on('n', () => {
            if ((numbers.at(-1) ?? 0) < missed) return
            replays.push(performance.now() - since)
            remove()
          })
        })
      }
      for (let cuts = 0; cuts < CUTS * CLIENTS; ) {
        cuts += network.cut(0.05)
        const before = counting.count()
        await expect.poll(counting.count, { interval: 5 }).toBeGreaterThan(before)
      }
      await expectComplete(records, await counting.stop())
      const late = p99(replays)
      console.log(`seed ${seed}: ${replays.length} comebacks, caught up after p99 ${late} ms`)
      expect(replays.length).toBeGreaterThan(0)
      expect(late).toBeLessThan(SOAK ? 1_000 : 10_000)
      await node.close()
    },
    600 * CLIENTS,
  )
})
