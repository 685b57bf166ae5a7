import { type SentinelRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { change, expectNoStaleReads, MAX_STALENESS, startPair, until, warm } from '../fleet.ts'

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

  it('hears of the writes of others on the new primary, with sync.tracking', async () => {
    const sync = { maxStaleness: MAX_STALENESS, tracking: true } as const
    await using pair = startPair(one, two, { sync })
    await warm(pair)
    const told = () =>
      until('writes are told', async () => {
        await pair.reader.get('other')
        return pair.reader.health().redis?.tracking === true
      })
    await told()
    await servers.failover({ cause: 'planned' })
    await until('both are ready', () => one.status === 'ready' && two.status === 'ready')
    await told()
    await warm(pair)
    await change(pair, async () => {
      await one.del(`cays:cache:{${pair.writer.name}@1:${pair.key}}`)
      await until('the writer heard', () => pair.writer.peek(pair.key) === undefined)
      return 'fleet'
    })
    await expectNoStaleReads(pair)
  })
})
