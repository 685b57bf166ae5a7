import { type ClusterRedis, startRedis } from '@cays/testkit'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCache } from '../../src/index.ts'
import { change, expectNoStaleReads, patient, pause, startPair, until, warm } from '../fleet.ts'

let servers: ClusterRedis
let one: Cluster
let two: Cluster

function connect(): Cluster {
  const cluster = new Cluster([...servers.nodes].map(({ host, port }) => ({ host, port })))
  cluster.on('error', () => {})
  return cluster
}

beforeAll(async () => {
  servers = await startRedis({ mode: 'cluster', primaries: 3, replicas: 1 })
  one = connect()
  two = connect()
  await until('both are ready', () => one.status === 'ready' && two.status === 'ready')
})

afterAll(async () => {
  one?.disconnect()
  two?.disconnect()
  await servers?.close()
})

describe('a cache on Redis Cluster', () => {
  it('reads, sets, loads and invalidates keys in all slots', async () => {
    await using a = createCache({ name: 'all', redis: one, l2: patient })
    await using b = createCache({ name: 'all', redis: two, l2: patient })
    const keys = Array.from({ length: 100 }, (_, i) => `key${i}`)
    await Promise.all(keys.map((key) => a.getOrSet(key, () => key, { tags: ['t'] })))
    const found = await b.getMany(keys)
    expect([...found.values()]).toEqual(keys)
    expect(await a.invalidate(keys.slice(0, 50))).toBe('fleet')
    await until('the other heard', () => b.peek('key0') === undefined)
    expect((await b.getMany(keys)).size).toBe(50)
    expect(await a.invalidateTags('t')).toBe('fleet')
    await until('the other heard', () => b.peek('key99') === undefined)
    expect((await b.getMany(keys)).size).toBe(0)
    await a.set('key1', { at: new Date(0) })
    expect(await b.get('key1')).toStrictEqual({ at: new Date(0) })
    await a.clear()
    await until('the other heard', async () => (await b.get('key1')) === undefined)
  })

  it('asks each node once for many keys, and for one alone only where its slot has moved', async () => {
    await using a = createCache({ name: 'many', redis: one, l2: patient })
    await using b = createCache({ name: 'many', redis: two, l2: patient })
    const keys = Array.from({ length: 100 }, (_, i) => `key${i}`)
    await Promise.all(keys.map((key) => a.set(key, key)))
    // All nodes have learned the script once this is answered.
    await b.getMany(Array.from({ length: 100 }, (_, i) => `other${i}`))
    const pipeline = vi.spyOn(two, 'pipeline')
    const evalsha = vi.spyOn(two, 'evalsha')
    const scripted = () => evalsha.mock.calls.filter(([, , key]) => String(key).includes('{many@1:')).length
    try {
      expect([...(await b.getMany(keys)).values()]).toEqual(keys)
      expect(pipeline).toHaveBeenCalledTimes(3)
      expect(scripted()).toBe(0)
      const moving = 'cays:cache:{many@1:key0}'
      const from = await servers.primaryOf(moving)
      const to = (await servers.slots()).map((range) => range.primary).find((node) => node !== from)
      if (!to) throw new Error('one primary')
      await servers.migrateSlot(moving, to)
      await a.set('key0', 'moved')
      await until('the moved one is found, too', async () => (await b.getMany(keys)).get('key0') === 'moved')
    } finally {
      pipeline.mockRestore()
      evalsha.mockRestore()
    }
  })

  it('runs one load for both nodes', async () => {
    await using pair = startPair(one, two, { l2: patient })
    const load = async () => {
      pair.loads++
      await pause(100)
      return pair.value
    }
    const values = await Promise.all([
      pair.writer.getOrSet(pair.key, load),
      pair.reader.getOrSet(pair.key, load),
    ])
    expect(values).toEqual(['old', 'old'])
    expect(pair.loads).toBe(1)
  })

  it('serves nothing old while a slot with a loading key moves', async () => {
    await using pair = startPair(one, two)
    await warm(pair)
    const key = `cays:cache:{${pair.writer.name}@1:${pair.key}}`
    const from = await servers.primaryOf(key)
    const to = (await servers.slots()).map((range) => range.primary).find((node) => node !== from)
    if (!to) throw new Error('one primary')
    await change(pair)
    const slow = pair.writer.getOrSet(pair.key, async () => {
      await pause(300)
      return 'new'
    })
    await servers.migrateSlot(key, to)
    expect(await slow).toBe('new')
    await expectNoStaleReads(pair)
  })

  for (const of of ['key', 'namespace'] as const) {
    it(`serves nothing old after the primary of the ${of} failed over to a lagging replica`, async () => {
      await using pair = startPair(one, two)
      await warm(pair)
      const namespace = `cays:cache:{${pair.writer.name}@1}`
      const key = `cays:cache:{${pair.writer.name}@1:${pair.key}}`
      await servers.failover({ of: of === 'key' ? key : namespace, lagging: () => change(pair) })
      await expectNoStaleReads(pair, 1_000)
    })
  }
})
