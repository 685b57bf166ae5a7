// Not `ok` without a message: it searches the source for one, for ever where that was compiled on the fly.
import { deepStrictEqual, strictEqual } from 'node:assert'
import { type RedisScript, redisScript } from '@cays/core/redis-script'
import { nodesScript } from '../../src/redis-nodes.ts'
import { enterScript, leaveScript, renewScript } from '../../src/redis-slots.ts'
import { seeded } from './scenario.ts'
import type { Ground } from './script-trials.ts'

let keys = 0

/** Heartbeats: who is counted, from when and for how long. */
export async function tryNodes({ operator, user }: Ground, script: RedisScript = nodesScript): Promise<void> {
  const key = `model:nodes${++keys}`
  const beat = (id: string, life: number | '' = 60_000) => script.run(user, [key], [id, life])
  deepStrictEqual(await beat('a'), [1, 1])
  deepStrictEqual(await beat('b'), [2, 1])
  deepStrictEqual(await beat('a'), [2, 0])
  strictEqual((await operator.pttl(key)) > 50_000, true)
  // One that died long ago, and one whose clock was ahead, count no more.
  const now = Number((await operator.time())[0]) * 1_000
  await operator.zadd(key, now - 120_000, 'dead', now + 3_600_000, 'ahead')
  deepStrictEqual(await beat('a'), [2, 0])
  await operator.zadd(key, now - 40_000, 'slow')
  deepStrictEqual(await beat('a'), [3, 0])
  await beat('b', '')
  deepStrictEqual(await beat('a'), [2, 0])
  const score = Number(await operator.zscore(key, 'a'))
  strictEqual(Math.abs(score - now) < 60_000, true)
}

export interface SlotScripts {
  readonly enter: RedisScript
  readonly renew: RedisScript
  readonly leave: RedisScript
}

export const SLOT_SCRIPTS: SlotScripts = { enter: enterScript, renew: renewScript, leave: leaveScript }

/** Slots: how many are given, to whom, until when. */
export async function trySlots(ground: Ground, scripts: SlotScripts = SLOT_SCRIPTS): Promise<void> {
  const { operator, user } = ground
  const { enter, renew, leave } = scripts
  const key = `model:slots${++keys}`
  const take = (id: string, life = 60_000) => enter.run(user, [key], [2, life, id])
  deepStrictEqual(await take('a'), [1, 1])
  deepStrictEqual(await take('b'), [1, 2])
  deepStrictEqual(await take('c'), [0, 2])
  strictEqual((await operator.pttl(key)) > 50_000, true)
  // Extended, and the key with it.
  deepStrictEqual(await renew.run(user, [key], [7_200_000, 'a', 'gone']), ['gone'])
  strictEqual((await operator.pttl(key)) > 7_000_000, true)
  // Not brought forward by leases of a shorter life.
  await leave.run(user, [key], ['b'])
  deepStrictEqual(await take('d', 1_000), [1, 2])
  deepStrictEqual(await renew.run(user, [key], [1_000, 'd']), [])
  strictEqual((await operator.pttl(key)) > 7_000_000, true)
  await leave.run(user, [key], ['d'])
  deepStrictEqual(await take('e', 14_400_000), [1, 2])
  strictEqual((await operator.pttl(key)) > 14_000_000, true)
  for (let seed = 1; seed <= 3; seed++) await playSlots(ground, scripts, seed)
}

/** Any order of entering, renewing and leaving, each answer the one of a list of ends. */
async function playSlots({ operator, user }: Ground, scripts: SlotScripts, seed: number): Promise<void> {
  const random = seeded(seed)
  const integer = (below: number) => Math.floor(random() * below)
  const onClock = ({ lua }: RedisScript) =>
    redisScript(lua.replace("redis.call('TIME')", "redis.call('MGET', 'clock:s', 'clock:us')"))
  const [enter, renew, leave] = [scripts.enter, scripts.renew, scripts.leave].map(onClock) as [
    RedisScript,
    RedisScript,
    RedisScript,
  ]
  const key = `model:slots${++keys}`
  const limit = 3
  const life = 60_000
  const ends = new Map<string, number>()
  let now = Date.UTC(2026, 2, 10)
  for (let turn = 0; turn < 60; turn++) {
    now += integer(20_000)
    await operator.mset(
      'clock:s',
      Math.floor(now / 1_000),
      'clock:us',
      (now % 1_000) * 1_000 + integer(1_000),
    )
    for (const [id, end] of ends) if (end <= now) ends.delete(id)
    const label = `seed ${seed}, turn ${turn}`
    const dice = random()
    if (dice < 0.5) {
      const id = `slot${turn}`
      const taken = ends.size < limit
      if (taken) ends.set(id, now + life)
      const answer = await enter.run(user, [key], [limit, life, id])
      deepStrictEqual([label, answer], [label, [taken ? 1 : 0, ends.size]])
    } else if (dice < 0.8) {
      const ids = [...ends.keys(), `slot${integer(turn + 1)}`].filter(() => random() < 0.7)
      const lost = ids.filter((id) => !ends.has(id))
      for (const id of ids) if (ends.has(id)) ends.set(id, now + life)
      deepStrictEqual([label, await renew.run(user, [key], [life, ...ids])], [label, lost])
    } else {
      const id = `slot${integer(turn + 1)}`
      deepStrictEqual([label, await leave.run(user, [key], [id])], [label, ends.delete(id) ? 1 : 0])
    }
  }
}
