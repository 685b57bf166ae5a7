import { type ClusterRedis, type StandaloneRedis, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCache } from '../../src/index.ts'
import { patient, until } from '../fleet.ts'

let server: StandaloneRedis
let fleet: ClusterRedis

beforeAll(async () => {
  ;[server, fleet] = await Promise.all([startRedis(), startRedis({ mode: 'cluster', primaries: 3 })])
})

afterAll(async () => {
  await Promise.all([server?.close(), fleet?.close()])
})

const nodes = () => fleet.nodes.map(({ host, port }) => ({ host, port }))
const drivers = [
  { name: 'ioredis 5', connect: (one: boolean) => (one ? new Redis5(server.url) : new Cluster5(nodes())) },
  { name: 'ioredis 6', connect: (one: boolean) => (one ? new Redis(server.url) : new Cluster(nodes())) },
]

describe.each(drivers)('with $name', ({ name, connect }) => {
  it.each(['one server', 'a cluster'])(
    'loads once, shares, invalidates and hears of it on %s',
    async (kind) => {
      const clients = [connect(kind === 'one server'), connect(kind === 'one server')] as const
      try {
        const [one, two] = clients
        const options = {
          name: name.replace(' ', ''),
          ttl: '1h',
          sync: { maxStaleness: '1h' },
          l2: patient,
        } as const
        await using a = createCache({ ...options, redis: one })
        await using b = createCache({ ...options, redis: two })
        const keys = Array.from({ length: 30 }, (_, i) => `key${i}`)
        let loads = 0
        const load = async () => ({ at: new Date(0), load: ++loads })
        const values = await Promise.all(
          keys.flatMap((key) => [a, b].map((cache) => cache.getOrSet(key, load, { tags: ['t'] }))),
        )
        expect(values[0]).toStrictEqual({ at: new Date(0), load: expect.any(Number) })
        expect(loads).toBe(keys.length)
        expect((await b.getMany(keys)).size).toBe(keys.length)
        await until('pub/sub is up', () => b.health().redis?.subscribed === true)
        expect(await a.invalidate('key0')).toBe('fleet')
        await until('the other heard', () => b.peek('key0') === undefined)
        expect(await a.invalidateTags('t')).toBe('fleet')
        await until('the other heard', () => b.peek('key1') === undefined)
        expect(await a.clear()).toBe('fleet')
        expect(a.health()).toMatchObject({ status: 'ok', redis: { state: 'up', pending: 0 } })
      } finally {
        for (const client of clients) client.disconnect()
      }
    },
  )
})
