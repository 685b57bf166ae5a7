import { type SentinelRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { change, expectNoStaleReads, startPair, until, warm } from '../fleet.ts'

let servers: SentinelRedis
let one: Redis
let two: Redis

function connect(): Redis {
  const redis = new Redis({
    sentinels: servers.sentinels.map(({ host, port }) => ({ host, port })),
    name: servers.name,
  })
  redis.on('error', () => {})
  return redis
}

beforeAll(async () => {
  servers = await startRedis({ mode: 'sentinel' })
  one = connect()
  two = connect()
  await until('both are ready', () => one.status === 'ready' && two.status === 'ready')
})

afterAll(async () => {
  one?.disconnect()
  two?.disconnect()
  await servers?.close()
})

describe('a cache behind Sentinel', () => {
  for (const cause of ['planned', 'crash'] as const) {
    it(`serves nothing old after a ${cause} failover that lost the invalidation`, async () => {
      await using pair = startPair(one, two)
      await warm(pair)
      await servers.failover({ cause, lagging: () => change(pair) })
      await expectNoStaleReads(pair, 1_000)
      await until('both are in use', () =>
        [pair.writer, pair.reader].every((cache) => cache.health().status === 'ok'),
      )
      for (const node of servers.nodes) if (node.state === 'down') await node.start()
    })
  }
})
