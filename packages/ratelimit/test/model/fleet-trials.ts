import { deepStrictEqual, ok } from 'node:assert'
import type { RedisScript } from '@cays/core/redis-script'
import { nodesScript } from '../../src/redis-nodes.ts'
import { enterScript, leaveScript, renewScript } from '../../src/redis-slots.ts'
import type { Ground } from './script-trials.ts'

let keys = 0

/** Heartbeats: who is counted, from when and for how long. */
export async function tryNodes({ operator }: Ground, script: RedisScript = nodesScript): Promise<void> {
  const key = `fleet${++keys}`
  const beat = (id: string, life: number | '' = 60_000) => script.run(operator, [key], [id, life])
  deepStrictEqual(await beat('a'), [1, 1])
  deepStrictEqual(await beat('b'), [2, 1])
  deepStrictEqual(await beat('a'), [2, 0])
  ok((await operator.pttl(key)) > 50_000)
  // One that died long ago, and one whose clock was ahead, count no more.
  const now = Number((await operator.time())[0]) * 1_000
  await operator.zadd(key, now - 120_000, 'dead', now + 3_600_000, 'ahead')
  deepStrictEqual(await beat('a'), [2, 0])
  await operator.zadd(key, now - 40_000, 'slow')
  deepStrictEqual(await beat('a'), [3, 0])
  await beat('b', '')
  deepStrictEqual(await beat('a'), [2, 0])
  const score = Number(await operator.zscore(key, 'a'))
  ok(Math.abs(score - now) < 60_000)
}

/** Slots: how many are given, to whom, until when. */
export async function trySlots(
  { operator }: Ground,
  scripts: { enter?: RedisScript; renew?: RedisScript; leave?: RedisScript } = {},
): Promise<void> {
  const { enter = enterScript, renew = renewScript, leave = leaveScript } = scripts
  const key = `slots${++keys}`
  const take = (id: string, life = 60_000) => enter.run(operator, [key], [2, life, id])
  deepStrictEqual(await take('a'), [1, 1])
  deepStrictEqual(await take('b'), [1, 2])
  deepStrictEqual(await take('c'), [0, 2])
  ok((await operator.pttl(key)) > 50_000)
  const ends = Number(await operator.zscore(key, 'a'))
  // Extended beyond the end it had, and the key with it.
  deepStrictEqual(await renew.run(operator, [key], [7_200_000, 'a', 'gone']), ['gone'])
  ok(Number(await operator.zscore(key, 'a')) > ends + 7_000_000)
  ok((await operator.pttl(key)) > 7_000_000)
  await leave.run(operator, [key], ['b'])
  deepStrictEqual(await take('c'), [1, 2])
  // Slots that have ended are free, and nobody extends them.
  const now = Number((await operator.time())[0]) * 1_000
  await operator.zadd(key, now - 1_000, 'a', now - 1_000, 'c')
  deepStrictEqual(await renew.run(operator, [key], [60_000, 'a']), ['a'])
  await operator.zadd(key, now - 1_000, 'a', now - 1_000, 'c')
  deepStrictEqual(await take('d'), [1, 1])
}
