import { type FaultProxy, type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cache, createCache, type RedisClient } from '../../src/index.ts'
import { change, expectNoStaleReads, MAX_STALENESS, patient, startPair, until, warm } from '../fleet.ts'

let server: StandaloneRedis
let proxy: FaultProxy
/** Somebody who does not use this package. */
let stranger: Redis

beforeAll(async () => {
  server = await startRedis()
  proxy = await startFaultProxy(server.url)
  stranger = new Redis(server.url)
})

afterAll(async () => {
  stranger?.disconnect()
  await proxy?.[Symbol.asyncDispose]()
  await server?.close()
})

/** In memory, and the echo of having been stored is over. */
async function settled(cache: Cache, key: string, load: () => Promise<unknown>): Promise<void> {
  await cache.getOrSet(key, load)
  await until('writes are told', () => cache.health().redis?.tracking === true)
  await until('it stays in memory', async () => {
    await cache.getOrSet(key, load)
    return cache.peek(key) !== undefined
  })
}

const drivers = [
  { name: 'ioredis 5', connect: (): RedisClient & { disconnect(): void } => new Redis5(server.url) },
  { name: 'ioredis 6', connect: (): RedisClient & { disconnect(): void } => new Redis(server.url) },
]

describe.each(drivers)('sync.tracking with $name', ({ name, connect }) => {
  it('drops what a stranger deletes, overwrites or flushes, at once', async () => {
    const redis = connect()
    try {
      // No catch-up comes within the hour: only tracking can tell.
      const sync = { maxStaleness: '1h', tracking: true } as const
      await using cache = createCache({ name: name.replace(' ', ''), redis, sync, l2: patient })
      const at = `cays:cache:{${cache.name}@1:k}`
      let version = 0
      const load = async () => `version ${version}`
      for (const write of [
        () => stranger.del(at),
        () => stranger.set(at, 'not what this package writes'),
        () => stranger.flushall(),
      ]) {
        await settled(cache, 'k', load)
        version++
        await write()
        await until('it is gone', () => cache.peek('k') === undefined)
        expect(await cache.getOrSet('k', load)).toBe(`version ${version}`)
      }
      expect(cache.health().status).toBe('ok')
    } finally {
      redis.disconnect()
    }
  })
})

describe('sync.tracking', () => {
  it('keeps the bound for strangers when its connection hangs', async () => {
    const direct = new Redis(server.url)
    /** Commands go straight to Redis, what is heard comes through the proxy. */
    const split: RedisClient = new Proxy(direct, {
      get: (target, name) => {
        if (name === 'duplicate') return (options: object) => new Redis(proxy.url, options)
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    try {
      const options = { sync: { maxStaleness: MAX_STALENESS, tracking: true } }
      await using pair = startPair(direct, split, options)
      await warm(pair)
      await settled(pair.reader, pair.key, pair.load)
      proxy.set({ blackhole: true })
      await change(pair, async () => {
        await stranger.del(`cays:cache:{${pair.writer.name}@1:${pair.key}}`)
        await until('the writer heard', () => pair.writer.peek(pair.key) === undefined)
        return 'fleet'
      })
      await expectNoStaleReads(pair)
      await proxy.heal()
      await until('it hears again', async () => {
        await pair.reader.getOrSet(pair.key, pair.load)
        return pair.reader.health().redis?.tracking === true
      })
    } finally {
      direct.disconnect()
    }
  })

  it('leaves one load to a key that all want', async () => {
    const clients = [new Redis(server.url), new Redis(server.url)] as const
    try {
      const options = { sync: { maxStaleness: '1h', tracking: true }, l2: patient } as const
      await using pair = startPair(...clients, options)
      await Promise.all([settled(pair.writer, 'other', pair.load), settled(pair.reader, 'other', pair.load)])
      pair.loads = 0
      const callers = [pair.writer, pair.reader].flatMap((cache) => Array.from({ length: 50 }, () => cache))
      await Promise.all(callers.map((cache) => cache.getOrSet(pair.key, pair.load)))
      expect(pair.loads).toBe(1)
    } finally {
      for (const client of clients) client.disconnect()
    }
  })

  it('is refused on a Cluster, whose nodes it would not reach', () => {
    const cluster = new Cluster([{ port: 1 }], { lazyConnect: true })
    expect(() => createCache({ name: 'cluster', redis: cluster, sync: { tracking: true } })).toThrow(
      expect.objectContaining({ code: 'CACHE_ERR_OPTION' }),
    )
    cluster.disconnect()
  })
})
