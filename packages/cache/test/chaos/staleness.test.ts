import { type FaultProxy, type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RedisClient } from '../../src/redis-client.ts'
import {
  change,
  expectNoStaleReads,
  MAX_STALENESS,
  pastTheBound,
  patient,
  pause,
  startPair,
  until,
  warm,
} from '../fleet.ts'

let server: StandaloneRedis
let proxy: FaultProxy
let direct: Redis
let proxied: Redis
/** Commands go straight to Redis, pub/sub goes through the proxy. */
let split: RedisClient

beforeAll(async () => {
  server = await startRedis()
  proxy = await startFaultProxy(server.url)
  direct = new Redis(server.url)
  proxied = new Redis(proxy.url)
  split = new Proxy(direct, {
    get: (target, name) => {
      if (name === 'duplicate') return () => new Redis(proxy.url)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  for (const client of [direct, proxied]) client.on('error', () => {})
})

afterAll(async () => {
  direct?.disconnect()
  proxied?.disconnect()
  await proxy?.[Symbol.asyncDispose]()
  await server?.close()
})

beforeEach(async () => {
  await proxy.heal()
  await until('clients are ready', () => direct.status === 'ready' && proxied.status === 'ready')
})

describe('no read is older than maxStaleness after an invalidation reached Redis', () => {
  it('when all is well, and it arrives at once', async () => {
    // With this bound nothing but pub/sub can bring it: the catch-up comes in 20 minutes.
    await using pair = startPair(direct, proxied, { sync: { maxStaleness: '1h' }, l2: patient })
    await warm(pair)
    await until('pub/sub is up', () => pair.reader.health().redis?.subscribed === true)
    await change(pair)
    await until('the reader heard', () => pair.reader.peek(pair.key) === undefined)
    await expectNoStaleReads(pair)
    expect(pair.loads).toBe(2)
  })

  it('when the subscriber is killed', async () => {
    await using pair = startPair(direct, proxied)
    await warm(pair)
    await until('pub/sub is up', () => pair.reader.health().redis?.subscribed === true)
    await server.killClients('pubsub')
    await change(pair)
    await expectNoStaleReads(pair)
  })

  it('when pub/sub hangs on a half-open connection', async () => {
    await using pair = startPair(direct, split)
    await warm(pair)
    await until('pub/sub is up', () => pair.reader.health().redis?.subscribed === true)
    proxy.set({ blackhole: true })
    await change(pair)
    await expectNoStaleReads(pair)
  })

  it('when the reader is cut off from Redis altogether, on half-open connections', async () => {
    await using pair = startPair(direct, proxied)
    await warm(pair)
    proxy.set({ blackhole: true })
    await change(pair)
    await expectNoStaleReads(pair)
    expect(pair.reader.health().status).toBe('degraded')
  })

  it('when the reader comes back after missing many invalidations', async () => {
    await using pair = startPair(direct, proxied, {
      sync: { maxStaleness: MAX_STALENESS, log: 100 },
    })
    await warm(pair)
    proxy.set({ blackhole: true })
    // All at once: one round trip each would take a busy machine ten seconds.
    const others = () =>
      Promise.all(Array.from({ length: 300 }, (_, i) => pair.writer.invalidate(`other${i}`)))
    await others()
    await change(pair)
    await others()
    await pause(MAX_STALENESS)
    await proxy.heal()
    await expectNoStaleReads(pair)
  })

  for (const data of ['aof', 'empty', { loseLast: 5 }] as const) {
    it(`when Redis is killed right after and comes back with ${JSON.stringify(data)}`, async () => {
      await using pair = startPair(direct, proxied)
      await warm(pair)
      await change(pair)
      await server.restart({ data })
      await expectNoStaleReads(pair, 700)
    })
  }

  it('when the reader starts after Redis came back without the invalidation', async () => {
    await using pair = startPair(direct, proxied, { l2: patient })
    await pair.writer.getOrSet(pair.key, pair.load)
    await change(pair)
    await server.restart({ data: { loseLast: 1 } })
    await until('the client is ready', () => proxied.status === 'ready')
    expect(await direct.get(`cays:cache:{${pair.writer.name}@1:${pair.key}}`)).toContain('old')
    expect(await pair.reader.getOrSet(pair.key, pair.load)).toBe('new')
    await expectNoStaleReads(pair)
  })

  it('when Redis is frozen, and the invalidation is taken once it answers', async () => {
    await using pair = startPair(direct, proxied)
    await warm(pair)
    await server.freeze()
    pair.value = 'new'
    expect(await pair.writer.invalidate(pair.key)).toBe('queued')
    expect(pair.writer.health().redis?.pending).toBe(1)
    expect(await pair.writer.getOrSet(pair.key, pair.load)).toBe('new')
    await server.thaw()
    await until('the writer has caught up', () => pair.writer.health().status === 'ok')
    expect(pair.writer.health().redis?.pending).toBe(0)
    await expectNoStaleReads(pair)
  })

  it('of a tag, a space and the whole cache, too', async () => {
    await using pair = startPair(direct, split, { l2: patient })
    const { writer, reader, key, load } = pair
    const tagged = () => reader.getOrSet(key, load, { tags: ['t'] })
    await tagged()
    proxy.set({ blackhole: true })
    await change(pair, () => writer.invalidateTags('t'))
    await pastTheBound()
    expect(await tagged()).toBe('new')
    await change(pair, () => writer.clear())
    pair.value = 'newer'
    await pastTheBound()
    expect(await tagged()).toBe('newer')
  })
})

describe('a value that loads while its key is invalidated elsewhere', () => {
  it('reaches its callers and is kept nowhere', async () => {
    await using pair = startPair(direct, proxied, { l2: patient })
    let release: (value: string) => void = () => {}
    const slow = pair.reader.getOrSet(
      pair.key,
      () =>
        new Promise<string>((resolve) => {
          release = resolve
        }),
    )
    await until('it loads', () => release.length > 0)
    await change(pair)
    release('old')
    expect(await slow).toBe('old')
    expect(await pair.writer.get(pair.key)).toBeUndefined()
    await expectNoStaleReads(pair)
  })
})

describe('tag markers', () => {
  it('that Redis evicted invalidate instead of bringing values back', async () => {
    await using pair = startPair(direct, proxied, { l2: patient })
    const { writer, reader, key, load } = pair
    await writer.getOrSet(key, load, { tags: ['t'] })
    await change(pair, () => writer.invalidateTags('t'))
    const namespace = `cays:cache:{${writer.name}@1}`
    expect(await server.evict(`${namespace}:t:t`)).toBe(1)
    // A process that starts now knows nothing of the tag but what Redis tells it.
    expect(await reader.get(key)).toBeUndefined()
    expect(await reader.getOrSet(key, load, { tags: ['t'] })).toBe('new')
    expect(await server.evict(`${namespace}`)).toBe(1)
    await pastTheBound()
    expect(await writer.get(key)).toBeUndefined()
  })
})
