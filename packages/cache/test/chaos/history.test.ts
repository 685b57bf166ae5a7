import { type FaultProxy, type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cache, createCache } from '../../src/index.ts'
import { pause, until } from '../fleet.ts'

const NODES = 3
const KEYS = 12
const MAX_STALENESS = 300
/** What timers, which count whole milliseconds, and the way from Redis's answer to this test add to a moment. */
const SLACK = 50
const OPERATIONS = Number(process.env.CACHE_OPERATIONS ?? 100_000)

let server: StandaloneRedis
let proxies: readonly FaultProxy[]
let clients: readonly Redis[]
let caches: readonly Cache[]

beforeAll(async () => {
  server = await startRedis()
  proxies = await Promise.all(Array.from({ length: NODES }, () => startFaultProxy(server.url)))
  clients = proxies.map((proxy) => new Redis(proxy.url))
  for (const client of clients) client.on('error', () => {})
  caches = clients.map((redis) =>
    createCache({
      name: 'history',
      redis,
      ttl: '10m',
      sync: { maxStaleness: MAX_STALENESS },
      l2: { timeout: 100, retryAfter: 100, lease: 300 },
    }),
  )
})

afterAll(async () => {
  await Promise.all((caches ?? []).map((cache) => cache.close()))
  for (const client of clients ?? []) client.disconnect()
  await Promise.all((proxies ?? []).map((proxy) => proxy[Symbol.asyncDispose]()))
  await server?.close()
})

/**
 * The source holds a version per key. A writer raises it, invalidates, and notes when Redis had that: from then
 * on, any read that begins `maxStaleness` later (at once on the writer's node) must see this version or a later one.
 */
class Source {
  readonly version = Array.from({ length: KEYS }, () => 0)
  /** Per key: versions that every node must know from a moment on, and those that one node must know. */
  readonly known: {
    readonly version: number
    readonly at: number
    readonly node: number
    readonly how: string
  }[][] = Array.from({ length: KEYS }, () => [])

  lowest(key: number, node: number, began: number): number {
    let lowest = 0
    for (const one of this.known[key] ?? []) {
      const from = one.node === node ? one.at : one.at + MAX_STALENESS + SLACK
      if (began > from && one.version > lowest) lowest = one.version
    }
    return lowest
  }

  learned(key: number, version: number, node: number, how: string): void {
    const all = this.known[key] ?? []
    all.push({ version, at: performance.now(), node, how })
    if (all.length > 400) all.splice(0, 200)
  }
}

describe('a random history of reads and writes under faults', () => {
  it(
    `has no read older than the bound in ${OPERATIONS} operations`,
    async () => {
      const seed = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31))
      console.log(`seed ${seed}`)
      const random = generator(seed)
      const source = new Source()
      const violations: string[] = []
      let operations = 0
      let healthy = 0
      let done = false
      // One turn of the event loop is one moment, and on a busy machine a turn may take long: a read began when
      // timers ran last.
      let turn = performance.now()
      const turns = setInterval(() => {
        turn = performance.now()
      }, 1)

      const read = async (node: number, key: number) => {
        const began = turn - 2
        const value = await caches[node]?.getOrSet(
          `k${key}`,
          async () => {
            const at = source.version[key] ?? 0
            if (random() < 0.1) await pause(random() * 30)
            return at
          },
          { tags: [`t${key % 3}`] },
        )
        const lowest = source.lowest(key, node, began)
        if ((value ?? 0) < lowest) {
          const due = source.known[key]?.find((one) => one.version === lowest)
          violations.push(
            `node ${node} read ${value} of key ${key}; ${lowest} was due ${(began - (due?.at ?? 0)).toFixed()} ms ` +
              `after ${due?.how} by node ${due?.node}, at operation ${operations}`,
          )
        }
      }
      const write = async (node: number, key: number) => {
        const cache = caches[node]
        const dice = random()
        const how = dice < 0.55 ? 'invalidate' : dice < 0.7 ? 'expire' : dice > 0.98 ? 'clear' : 'tags'
        const touched =
          dice < 0.7 ? [key] : source.version.map((_, i) => i).filter((i) => dice > 0.98 || i % 3 === key % 3)
        const versions = touched.map((i) => {
          source.version[i] = (source.version[i] ?? 0) + 1
          return source.version[i]
        })
        const reach =
          how === 'invalidate'
            ? await cache?.invalidate(`k${key}`)
            : how === 'expire'
              ? await cache?.expire(`k${key}`)
              : how === 'clear'
                ? await cache?.clear()
                : await cache?.invalidateTags(`t${key % 3}`)
        if (reach !== 'fleet') return
        healthy++
        for (const [i, one] of touched.entries())
          source.learned(
            one,
            versions[i] ?? 0,
            node,
            dice < 0.55 ? 'invalidate' : dice < 0.7 ? 'expire' : dice > 0.98 ? 'clear' : 'tags',
          )
      }
      const worker = async (node: number) => {
        while (operations < OPERATIONS) {
          operations++
          const key = Math.floor(random() * KEYS)
          if (random() < 0.02) await write(node, key)
          else await read(node, key)
          if (operations % 50 === 0) await pause(1)
        }
      }
      const faults = async () => {
        while (!done) {
          await pause(100 + random() * 200)
          const proxy = proxies[Math.floor(random() * NODES)]
          switch (Math.floor(random() * 6)) {
            case 0:
              proxy?.set({ blackhole: true })
              await pause(random() * 600)
              await proxy?.heal()
              break
            case 1:
              proxy?.reset()
              break
            case 2:
              await server.killClients('pubsub')
              break
            case 3:
              await server.restart({
                data: random() < 0.5 ? 'empty' : { loseLast: 1 + Math.floor(random() * 5) },
              })
              break
            case 4:
              await server.freeze()
              await pause(random() * 400)
              await server.thaw()
              break
            default:
              proxy?.set({ latency: '20ms', jitter: '30ms' })
              await pause(200)
              await proxy?.heal()
          }
        }
      }
      const faulty = faults()
      await Promise.all(Array.from({ length: NODES * 4 }, (_, i) => worker(i % NODES)))
      done = true
      await faulty
      clearInterval(turns)
      expect(violations.slice(0, 5)).toEqual([])
      expect(operations).toBeGreaterThanOrEqual(OPERATIONS)
      expect(healthy).toBeGreaterThan(0)
      for (const proxy of proxies) await proxy.heal()
      await until(
        'all nodes are in use again',
        () => caches.every((cache) => cache.health().status === 'ok'),
        30_000,
      )
    },
    240_000 + OPERATIONS,
  )
})

function generator(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2 ** 32
  }
}
