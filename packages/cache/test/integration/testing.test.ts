import type { RedisScript } from '@cays/core/redis-script'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RedisClient } from '../../src/index.ts'
import {
  FILL,
  MARKERS,
  NODE,
  READ,
  READ_ONE,
  RELEASE,
  RENEW,
  SYNC,
  WRITE,
  WRITE_KEY,
} from '../../src/redis-scripts.ts'
import { faultyRedis } from '../../src/testing.ts'
import { redisSuite } from '../conformance/redis.suite.ts'
import { pause } from '../fleet.ts'

redisSuite('a real Redis', async () => {
  const server = await startRedis()
  const clients: Redis[] = []
  return {
    connect: () => {
      const client = new Redis(server.url)
      client.on('error', () => {})
      clients.push(client)
      return client
    },
    down: () => server.kill(),
    up: () => server.start(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    restart: (lose) => server.restart({ data: lose === 'everything' ? 'empty' : { loseLast: lose } }),
    deafen: () => server.killClients('pubsub'),
    fill: () => server.config({ 'maxmemory-policy': 'noeviction', maxmemory: '1' }),
    free: () => server.config({ maxmemory: '0' }),
    evict: (key) => server.evict(key),
    pass: pause,
    close: async () => {
      for (const client of clients) client.disconnect()
      await server.close()
    },
  }
})

const STEPS = 3_000
const NAMESPACE = ['n:{a}', 'n:{a}:f']
const VALUES = ['v:{a}', 'w:{a}']
const TAGS = ['t:{a}', 'u:{a}']

describe('the Redis for tests and a real one', () => {
  let server: StandaloneRedis
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = new Redis(server.url)
  })
  afterAll(async () => {
    redis?.disconnect()
    await server?.close()
  })

  it(`give the same answers to ${STEPS} random scripts, with room and without`, async () => {
    const seed = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`seed ${seed}`)
    const random = generator(seed)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
    const double = faultyRedis()
    const sides = [
      new Side(redis, () => server.evict(VALUES)),
      new Side(double.client(), () => double.evict((key) => VALUES.includes(key))),
    ] as const
    for (const side of sides) await side.meet()
    for (let step = 0; step < STEPS; step++) {
      if (step % 500 === 250) {
        double.fill()
        await server.config({ 'maxmemory-policy': 'noeviction', maxmemory: '1' })
      } else if (step % 500 === 300) {
        double.free()
        await server.config({ maxmemory: '0' })
      }
      const name = pick(ORDERS)
      // What both are told, in words of no server: each knows its own epoch.
      const told = {
        name,
        key: pick(VALUES),
        token: pick(['a', 'b', '']),
        old: random() < 0.1,
        seq: Math.floor(random() * 4),
        early: random() < 0.1 ? HOUR * 2 : 0,
        touch: pick(['drop', 'expire', 'put', 'none']),
        tags: TAGS.filter(() => random() < 0.5),
        clear: random() < 0.1 ? 1 : 0,
        backoff: pick([0, HOUR]),
        step,
      }
      const [real, ours] = await Promise.all(sides.map((side) => side.carryOut(told)))
      expect({ told, answer: ours }).toEqual({ told, answer: real })
    }
  }, 120_000)
})

const HOUR = 3_600_000
const ORDERS = [
  'read',
  'readOne',
  'node',
  'fill',
  'renew',
  'release',
  'writeKey',
  'write',
  'sync',
  'markers',
  'many',
  'evict',
] as const

interface Told {
  readonly name: (typeof ORDERS)[number]
  readonly key: string
  readonly token: string
  readonly old: boolean
  readonly seq: number
  readonly early: number
  readonly touch: string
  readonly tags: readonly string[]
  readonly clear: number
  readonly backoff: number
  readonly step: number
}

/** One of the two servers. What it says of its clock, its run and its epochs is put into words that both share. */
class Side {
  readonly #client: RedisClient
  readonly #evict: () => Promise<number> | number
  readonly #epochs: string[] = ['none']
  #seq = 0
  #run = '?'

  constructor(client: RedisClient, evict: () => Promise<number> | number) {
    this.#client = client
    this.#evict = evict
  }

  async meet(): Promise<void> {
    const [, run] = (await NODE.run(this.#client, [])) as [number, string]
    this.#run = run
  }

  async carryOut(told: Told): Promise<unknown> {
    const { name, key, token, touch, tags, step } = told
    const epoch = this.#epochs.at(told.old ? -2 : -1) ?? 'none'
    const seq = Math.max(0, this.#seq - told.seq)
    const pair = [key, `${key}:l`]
    const salt = `salt${step}`
    const body = `${epoch}|${seq}|body ${step}`
    const touched = [touch, HOUR, HOUR * 2, body]
    const writes = touch === 'none' ? [] : pair
    const run = (script: RedisScript, keys: readonly string[], args: readonly (string | number)[]) =>
      script.run(this.#client, keys, args)
    const orders: Readonly<Record<Told['name'], () => Promise<unknown>>> = {
      read: () => run(READ, pair, [epoch, token, HOUR, told.seq === 0 ? 0 : seq, told.early]),
      readOne: () => run(READ_ONE, [key], [epoch]),
      node: () => run(NODE, [], []),
      fill: () => run(FILL, pair, [token, HOUR, HOUR * 2, body, 'channel', key]),
      renew: () => run(RENEW, pair.slice(1), [token, HOUR]),
      release: () => run(RELEASE, pair.slice(1), [token, told.backoff, 'it failed', 'channel', key]),
      writeKey: () => run(WRITE_KEY, pair, [touch === 'none' ? 'drop' : touch, ...touched.slice(1)]),
      write: () =>
        run(
          WRITE,
          [...NAMESPACE, ...tags, ...writes],
          [...touched, 'channel', `message ${step}`, salt, 10_000, tags.length, HOUR, told.clear],
        ),
      sync: () => run(SYNC, NAMESPACE, [epoch, seq, salt, 3]),
      markers: () => run(MARKERS, [...NAMESPACE, ...tags], [salt, HOUR]),
      many: async () => {
        const replies = await this.#client.pipeline([['mget', ...VALUES, 'none']]).exec()
        return replies?.[0]?.[1]
      },
      evict: async () => await this.#evict(),
    }
    const answer = await orders[name]().catch((error: Error) => error.message.slice(0, 20))
    this.#learn(name, answer)
    return this.#inWords(answer)
  }

  #learn(name: Told['name'], answer: unknown): void {
    if (!Array.isArray(answer)) return
    if (name !== 'write' && name !== 'sync' && name !== 'markers') return
    const [epoch, seq] = answer
    if (this.#epochs.at(-1) !== epoch) this.#epochs.push(epoch)
    if (name !== 'markers') this.#seq = seq
  }

  #inWords(answer: unknown): unknown {
    if (Array.isArray(answer)) return answer.map((part) => this.#inWords(part))
    // Of their own clocks: now, and the milliseconds that a failure has left.
    if (typeof answer === 'number') return answer > 1_000_000 ? 'time' : answer
    if (typeof answer !== 'string') return answer
    let words = answer.replace(/^1\d{13}/, 'expiry ').replace(this.#run, 'run ')
    for (const [i, epoch] of this.#epochs.entries()) words = words.replaceAll(epoch, `epoch ${i}`)
    return words
  }
}

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
