import { type ClusterRedis, type SentinelRedis, startRedis } from '@cays/testkit'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createRateLimiter, fixedWindow, gcra, slidingLog } from '../../src/index.ts'
import { hashOf } from '../../src/subject.ts'

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 45_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass within 45 s')
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

describe('on a cluster', () => {
  let servers: ClusterRedis
  let redis: Cluster
  beforeAll(async () => {
    servers = await startRedis({ mode: 'cluster', primaries: 3, nodeTimeout: '1s' })
    redis = new Cluster(
      servers.nodes.map(({ host, port }) => ({ host, port })),
      { clusterRetryStrategy: () => 100 },
    )
    redis.on('error', () => {})
  })
  afterAll(async () => {
    redis?.disconnect()
    await servers?.close()
  })

  it('decides exactly, with at most one call per partition and turn', async () => {
    await using limiter = createRateLimiter({
      redis,
      prefix: 'exact',
      timeout: '20s',
      denyCache: false,
      partitions: 16,
      policies: {
        a: gcra({ limit: 3, per: '1h' }),
        b: fixedWindow({ limit: 50, per: '1h' }),
        c: slidingLog({ limit: 50, per: '1h' }),
      },
    })
    const subjects = Array.from({ length: 60 }, (_, index) => `user:${index}`)
    await limiter.check('first')
    const calls = vi.spyOn(redis as never as { evalshaBuffer(): void }, 'evalshaBuffer')
    const decisions = await limiter.checkMany(
      Array.from({ length: 5 }, () => subjects.map((subject) => ({ subject }))).flat(),
    )
    expect(decisions.every((decision) => decision.source === 'redis')).toBe(true)
    expect(decisions.filter((decision) => decision.allowed)).toHaveLength(180)
    expect(calls.mock.calls.length).toBeLessThanOrEqual(16)
    calls.mockRestore()
    // Hostile names stay in their partition and apart from each other.
    for (const subject of ['{a}', '}{', 'a'.repeat(1_000_000), '\u0000*?[x]', '\ud800', '\ud801']) {
      expect((await limiter.check(subject, { cost: 3 })).allowed).toBe(true)
      expect((await limiter.check(subject)).allowed).toBe(false)
    }
  })

  it('goes on while its slots migrate under load, and loses no charge', async () => {
    await using limiter = createRateLimiter({
      redis,
      prefix: 'move',
      timeout: '20s',
      denyCache: false,
      partitions: 1,
      policies: { api: fixedWindow({ limit: 200, per: '1h' }) },
    })
    const [first, second] = servers.nodes
    if (!first || !second) throw new Error('the cluster has fewer than two nodes')
    let asking = true
    let admitted = 0
    let local = 0
    const load = Array.from({ length: 4 }, async () => {
      while (asking) {
        const decision = await limiter.check('user')
        if (decision.source !== 'redis') local++
        else if (decision.allowed) admitted++
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })
    for (const target of [second, first, second]) await servers.migrateSlot('move:{0}', target)
    asking = false
    await Promise.all(load)
    while ((await limiter.check('user')).allowed) admitted++
    // A call that the cluster failed in the middle of a move may have been charged: never the other way.
    expect(admitted).toBeLessThanOrEqual(200)
    expect(admitted + local).toBeGreaterThanOrEqual(200)
  })

  it('decides for the dead node alone without it', async () => {
    await using limiter = createRateLimiter({
      redis,
      prefix: 'dead',
      timeout: 300,
      denyCache: false,
      policies: { api: fixedWindow({ limit: 1_000, per: '1h' }) },
    })
    const ask = async () => {
      const subjects = Array.from({ length: 60 }, (_, index) => ({ subject: `user:${index}` }))
      return (await limiter.checkMany(subjects)).map((decision) => decision.source)
    }
    await until(async () => (await ask()).every((source) => source === 'redis'))
    const victim = servers.nodes[2]
    // Without this the healthy part of the cluster would refuse to serve as well.
    await servers.config({ 'cluster-require-full-coverage': 'no' })
    // Subjects by the node that holds their partition.
    const held: boolean[] = []
    for (let user = 0; user < 60; user++) {
      held.push((await servers.primaryOf(`dead:{${hashOf(`user:${user}`) % 128}}`)) === victim)
    }
    expect(held).toContain(true)
    expect(held).toContain(false)
    await victim?.freeze()
    await until(async () => {
      const sources = await ask()
      return sources.every((source, user) => source === (held[user] ? 'local' : 'redis'))
    })
    await victim?.thaw()
    await until(async () => !(await ask()).includes('local'))
  })
})

describe('behind sentinels', () => {
  let servers: SentinelRedis
  let redis: Redis
  beforeAll(async () => {
    servers = await startRedis({ mode: 'sentinel', downAfter: 500 })
    redis = new Redis({
      name: servers.name,
      sentinels: servers.sentinels.map(({ host, port }) => ({ host, port })),
      retryStrategy: () => 100,
      sentinelRetryStrategy: () => 100,
    })
    redis.on('error', () => {})
  })
  afterAll(async () => {
    redis?.disconnect()
    await servers?.close()
  })

  it('survives the loss of the primary: no call rejects, and the new primary knows what was replicated', async () => {
    await using limiter = createRateLimiter({
      redis,
      prefix: 'ha',
      timeout: '5s',
      denyCache: false,
      policies: { api: fixedWindow({ limit: 100, per: '1h' }) },
    })
    await until(async () => (await limiter.peek('warm')).source === 'redis')
    expect((await limiter.check('user', { cost: 90 })).source).toBe('redis')
    await until(async () => (await redis.wait(1, 5_000)) >= 1)
    const primary = await servers.primary()
    await primary.kill()
    // Meanwhile decisions come from wherever they can; none rejects.
    await until(async () => {
      await limiter.check('other')
      return (await servers.primary()) !== primary
    })
    await until(async () => (await limiter.peek('user')).source === 'redis')
    expect((await limiter.peek('user')).policies.api?.remaining).toBe(10)
    expect(await limiter.check('user', { cost: 11 })).toMatchObject({ allowed: false, source: 'redis' })
  })
})
