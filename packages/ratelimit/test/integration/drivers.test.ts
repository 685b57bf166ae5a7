import { type ClusterRedis, type StandaloneRedis, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrency, createRateLimiter, gcra, slidingLog, tokenBucket } from '../../src/index.ts'

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
  it.each(['one server', 'a cluster'])('decides, denies, settles and forgets on %s', async (kind) => {
    const redis = connect(kind === 'one server')
    try {
      const prefix = name.replace(' ', '')
      await using limiter = createRateLimiter({
        redis,
        prefix,
        timeout: '30s',
        policies: {
          burst: gcra({ limit: 3, per: '1h' }),
          log: slidingLog({ limit: 100, per: '1h' }),
          tokens: tokenBucket({ capacity: 1_000, per: '1h', unit: 'tokens' }),
        },
      })
      const decisions = await limiter.checkMany(
        Array.from({ length: 40 }, (_, index) => ({ subject: `user:${index % 10}` })),
      )
      expect(decisions.map(({ source }) => source)).toEqual(Array.from({ length: 40 }, () => 'redis'))
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(30)
      const { policies } = await limiter.peek('user:1')
      expect([policies.burst?.remaining, policies.log?.remaining]).toEqual([0, 97])
      await limiter.reset('user:1')
      const reserved = await limiter.reserve('user:1', { cost: { tokens: 500 } })
      await reserved.commit({ tokens: 20 })
      expect((await limiter.peek('user:1')).policies.tokens?.remaining).toBe(980)
      await using slots = concurrency({ redis, limit: 1, prefix: `${prefix}-slots`, timeout: '30s' })
      await using first = await slots.enter('a')
      expect([first.allowed, first.source]).toEqual([true, 'redis'])
      expect((await slots.enter('a')).allowed).toBe(false)
    } finally {
      redis.disconnect()
    }
  })
})
