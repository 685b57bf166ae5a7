import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPublisher } from '../../src/index.ts'
import { startLocalNode } from '../support/local-node.ts'
import { range, rawSubscribe } from '../support/raw-client.ts'

const TTL = 80_000
let redis: StandaloneRedis
let client: Redis
let publisher: ReturnType<typeof createPublisher>

beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url)
  publisher = createPublisher({ redis: client, history: { size: 50, ttl: TTL } })
})
afterAll(async () => {
  await publisher?.close()
  client?.disconnect()
  await redis?.close()
})

function publish(id: string, n: number, idempotencyKey?: string) {
  const room = publisher.room('job:{id}', { id })
  return room.publish('n', n, idempotencyKey === undefined ? {} : { idempotencyKey })
}

async function keyOf(id: string, kind: 'm' | 's'): Promise<string> {
  const [key] = await client.keys(`rt:*:${kind}:job:${id}`)
  if (key === undefined) throw new Error('the room has no such key')
  return key
}

it('publishes of many rooms in one turn are numbered room by room', async () => {
  const rooms = Array.from({ length: 40 }, (_, n) => `many-${n % 10}`)
  const positions = await Promise.all(rooms.map((id, n) => publish(id, n)))
  expect(positions.map(({ offset }) => offset)).toEqual(rooms.map((_, n) => Math.floor(n / 10) + 1))
})

it('a room that Redis refuses fails alone, and the others of the same turn are stored once', async () => {
  await publish('broken', 1)
  await client.set(await keyOf('broken', 's'), 'not a stream', 'KEEPTTL')
  const ids = Array.from({ length: 20 }, (_, n) => (n % 5 === 0 ? 'broken' : `whole-${n}`))
  const outcomes = await Promise.allSettled(ids.map((id, n) => publish(id, n)))
  for (const [n, outcome] of outcomes.entries()) {
    if (ids[n] === 'broken') expect(outcome).toMatchObject({ reason: { code: 'REALTIME_ERR_REFUSED' } })
    else expect(outcome).toMatchObject({ value: { offset: 1 } })
  }
})

it('a repeated key gives the first position, in the same turn and later, between messages without one', async () => {
  const turn = await Promise.all([publish('keyed', 1), publish('keyed', 2, 'k'), publish('keyed', 2, 'k')])
  expect(turn.map(({ offset }) => offset)).toEqual([1, 2, 2])
  expect(await publish('keyed', 3)).toMatchObject({ offset: 3 })
  expect(await publish('keyed', 2, 'k')).toEqual(turn[1])
  expect(await client.xlen(await keyOf('keyed', 's'))).toBe(3)
})

it('the history lives for its ttl after the last message, and begins anew when it was evicted', async () => {
  await publish('lives', 1)
  const [stream, meta] = await Promise.all([keyOf('lives', 's'), keyOf('lives', 'm')])
  const inside = async (key: string, least: number, most: number) => {
    const left = await client.pttl(key)
    expect(left).toBeGreaterThan(least)
    expect(left).toBeLessThanOrEqual(most)
  }
  await inside(stream, TTL - 60_000, TTL * 1.125)
  await inside(meta, 86_400_000 - 60_000, 86_400_000)
  // As if nearly all of it had passed: another message prolongs it.
  await client.pexpire(stream, 30_000)
  await client.hset(meta, 't', Date.now() + 30_000)
  await publish('lives', 2)
  await inside(stream, TTL - 60_000, TTL * 1.125)
  await client.del(stream)
  const { offset } = await publish('lives', 3)
  expect(offset).toBe(3)
  await inside(stream, TTL - 60_000, TTL * 1.125)
})

it('the history keeps at least its size, and little more, however its messages came', async () => {
  for (const together of [100, 1]) {
    const id = `full-${together}`
    for (let n = 0; n < 1_000; n += together) {
      await Promise.all(Array.from({ length: together }, () => publish(id, n)))
    }
    const entries = await client.xrange(await keyOf(id, 's'), '-', '+')
    const kept = entries.flatMap(([, fields]) => fields[1]?.split('\n') ?? [])
    expect(kept.length).toBeGreaterThanOrEqual(50)
    expect(kept.length).toBeLessThanOrEqual(700)
  }
})

it('a reader who stands in the middle of what came in one turn gets the rest of it', async () => {
  const node = await startLocalNode({ redis: client, history: { size: 50, ttl: TTL } })
  try {
    const [{ epoch } = { epoch: '' }] = await Promise.all(range(1, 10).map((n) => publish('middle', n)))
    await publish('middle', 11)
    await Promise.all(range(12, 20).map((n) => publish('middle', n)))
    for (const offset of [0, 1, 7, 10, 11, 15, 20]) {
      const reader = await rawSubscribe(node.url, 'job:middle', { epoch, offset })
      expect(reader.recovered).toBe(1)
      await expect.poll(() => reader.numbers).toEqual(range(offset + 1, 20))
      reader.close()
    }
  } finally {
    await node.close()
  }
})

it('a node that comes late reads the whole history of a room, while more is published', async () => {
  // More entries than any page of a read would hold.
  const long = createPublisher({ redis: client, history: { size: 5_000, ttl: TTL } })
  const room = long.room('job:{id}', { id: 'long' })
  const more = (n: number) => room.publish('n', n, { idempotencyKey: `${n}` })
  try {
    const [first] = await Promise.all(range(1, 2_500).map(more))
    const node = await startLocalNode({ redis: client, history: { size: 5_000, ttl: TTL } })
    try {
      const reading = rawSubscribe(node.url, 'job:long', { epoch: first?.epoch ?? '', offset: 0 })
      await Promise.all(range(2_501, 3_000).map(more))
      const reader = await reading
      await expect.poll(() => reader.numbers.length).toBe(3_000)
      expect(reader.numbers).toEqual(range(1, 3_000))
      expect(reader.messages.filter(([type]) => type === 'gap')).toEqual([])
      reader.close()
    } finally {
      await node.close()
    }
  } finally {
    await long.close()
  }
})
