// Not `ok` without a message: it searches the source for one, for ever where that was compiled on the fly.
import { deepStrictEqual, ok, strictEqual } from 'node:assert'
import { type RedisScript, redisScript } from '@cays/core/redis-script'
import type { Redis } from 'ioredis'
import {
  fixedWindow,
  gcra,
  type PolicySize,
  quota,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from '../../src/index.ts'
import { MODE, type Mode } from '../../src/operation.ts'
import { RedisStore } from '../../src/redis-store.ts'
import { giveBack } from '../../src/reservation.ts'
import { type Charge, Shapes } from '../../src/shapes.ts'
import { playScenario } from './scenario.ts'

/** Where a script is tried: its user may be limited to what the README lists, the operator may do anything. */
export interface Ground {
  readonly user: Redis
  readonly operator: Redis
}

/** Holds a form of the decision script to something that it promises; throws when it breaks its word. */
export interface Trial {
  readonly promise: string
  /** Whether it differs from seed to seed. */
  readonly seeded: boolean
  run(ground: Ground, script: RedisScript, seed: number): Promise<void>
}

// The script as it is, but for the clock, which the trial sets; keys live on, should the real one be faster.
function clocked({ lua }: RedisScript): RedisScript {
  return redisScript(
    lua
      .replace("call('TIME')", "call('MGET', 'clock:s', 'clock:us')")
      .replace('/ 1000) + 1000', '/ 1000) + 600000'),
  )
}

async function setClock({ operator }: Ground, now: number): Promise<void> {
  await operator.mset('clock:s', Math.floor(now / 1_000_000), 'clock:us', now % 1_000_000)
}

let stores = 0
function storeOf({ user }: Ground, script: RedisScript): RedisStore & { readonly prefix: string } {
  const prefix = `model${++stores}`
  const store = new RedisStore({
    client: user,
    prefix,
    partitions: 8,
    timeout: 10_000,
    onFailure: () => {},
    script,
  })
  return Object.assign(store, { prefix })
}

/** A store and policies to ask it about, one operation at a time. */
function asking(ground: Ground, script: RedisScript, policies: ConstructorParameters<typeof Shapes>[0]) {
  const store = storeOf(ground, script)
  const shapes = new Shapes(policies)
  return {
    names: shapes.names,
    prefix: store.prefix,
    ask: (mode: Mode, charge: Charge, argument = 0) =>
      store.run(shapes.of(mode, charge, argument), 'subject'),
    resize: (name: string, size: PolicySize | undefined, life: number) =>
      store.run(shapes.resize(name, size, life), 'subject'),
    keyOf: async (name: string) => {
      const [key] = await ground.operator.keys(`${store.prefix}:{*}:subject:${name}:*`)
      return key
    },
  }
}

const START = Date.UTC(2026, 2, 10, 12) * 1_000
const SECOND = 1_000_000

const everyAlgorithm = {
  gcra: gcra({ limit: 3, per: '1s' }),
  step: tokenBucket({ capacity: 3, per: '1s', style: 'interval' }),
  fixed: fixedWindow({ limit: 3, per: '1s' }),
  sliding: slidingWindow({ limit: 3, per: '1s' }),
  log: slidingLog({ limit: 3, per: '1s' }),
}

export const SCRIPT_TRIALS: readonly Trial[] = [
  {
    seeded: true,
    promise: 'answers like the reference in every field of every decision',
    async run(ground, script, seed) {
      const store = storeOf(ground, clocked(script))
      const compared = await playScenario(
        {
          async run(now, operations) {
            await setClock(ground, now)
            return await Promise.all(operations.map(({ shape, subject }) => store.run(shape, subject)))
          },
        },
        seed,
        300,
      )
      await store.close()
      strictEqual(compared > 200, true)
    },
  },
  {
    seeded: false,
    promise: 'grants nothing when the server clock is set back, and locks nobody out until it has caught up',
    async run(ground, script) {
      const { ask, names } = asking(ground, clocked(script), everyAlgorithm)
      const check = async (at: number, policy: string) => {
        await setClock(ground, at)
        return (await ask(MODE.check, { policies: [policy] })).granted
      }
      const back = START - 600 * SECOND
      for (const policy of names) {
        for (let use = 0; use < 3; use++)
          deepStrictEqual([policy, await check(START + use, policy)], [policy, true])
        for (const at of [START + 3, back, back + 100_000]) {
          deepStrictEqual([policy, at, await check(at, policy)], [policy, at, false])
        }
        // A denial keeps the state that was moved to now: a second later a part is free again.
        const after = back + 2_100_000
        deepStrictEqual([policy, after, await check(after, policy)], [policy, after, true])
      }
      // A quota that was used up in an hour that is still to come is used up in the one before it, not in both.
      const quotas = asking(ground, clocked(script), { hourly: quota({ limit: 1, period: 'hour' }) })
      const admits: boolean[] = []
      for (const at of [START, back, START]) {
        await setClock(ground, at)
        admits.push((await quotas.ask(MODE.check, {})).granted)
      }
      deepStrictEqual(admits, [true, false, true])
    },
  },
  {
    seeded: false,
    promise: 'ends blocks and own limits to the microsecond',
    async run(ground, script) {
      const { ask, resize, names } = asking(ground, clocked(script), everyAlgorithm)
      await setClock(ground, START)
      for (const policy of names) {
        await resize(policy, 9, 40 * SECOND)
        await ask(MODE.block, { policies: [policy], cost: 0 }, 20 * SECOND)
      }
      const at = async (now: number) => {
        await setClock(ground, now)
        const { granted, slots } = await ask(MODE.peek, {})
        return [granted, ...slots.map(({ parameters: { cap }, blocked }) => [cap, blocked])]
      }
      const all = (cap: number, blocked: number) => names.map(() => [cap, blocked])
      deepStrictEqual(await at(START + 20 * SECOND - 1), [false, ...all(9_000, START + 20 * SECOND)])
      deepStrictEqual(await at(START + 20 * SECOND), [true, ...all(9_000, 0)])
      deepStrictEqual(await at(START + 40 * SECOND - 1), [true, ...all(9_000, 0)])
      deepStrictEqual(await at(START + 40 * SECOND), [true, ...all(3_000, 0)])
    },
  },
  {
    seeded: false,
    promise: 'reads logs of any length',
    async run(ground, script) {
      const { ask } = asking(ground, clocked(script), { log: slidingLog({ limit: 150, per: '1s' }) })
      for (const at of [0, 1_000, 2_000]) {
        await setClock(ground, START + at)
        await Promise.all(Array.from({ length: 50 }, () => ask(MODE.check, {})))
      }
      await setClock(ground, START + 3_000)
      const denied = await ask(MODE.check, { cost: 120 })
      deepStrictEqual([denied.granted, denied.slots[0]?.wait], [false, 999_000])
      await setClock(ground, START + SECOND + 1_500)
      deepStrictEqual((await ask(MODE.check, { cost: 101 })).granted, false)
      deepStrictEqual((await ask(MODE.check, { cost: 100 })).granted, true)
    },
  },
  {
    seeded: false,
    promise:
      'gives every key a life as long as its subject is in use, puts its end off when needed and never forward',
    async run(ground, script) {
      const { ask, names, keyOf, resize } = asking(ground, script, {
        gcra: gcra({ limit: 1_000, per: '1s', plans: { slow: { limit: 1, burst: 1_000 } } }),
        step: tokenBucket({ capacity: 10, refill: 2, per: '1m', style: 'interval' }),
        fixed: fixedWindow({ limit: 10, per: '1h' }),
        sliding: slidingWindow({ limit: 10, per: '1m' }),
        log: slidingLog({ limit: 10, per: '1m' }),
        yearly: quota({ limit: 10, period: 'year' }),
      })
      const life = async (name: string) => await ground.operator.pttl((await keyOf(name)) ?? '')
      const isRight = async (name: string) => {
        const value = await ground.operator.getBuffer((await keyOf(name)) ?? '')
        const told = (value?.readDoubleLE(24) ?? 0) / 1_000 - Date.now()
        ok(Math.abs((await life(name)) - told) < 10_000, `${name}, does not know when it ends`)
      }
      for (const policy of names) {
        await ask(MODE.check, { policies: [policy] })
        ok((await life(policy)) > 0, policy)
        if (policy !== 'log') await isRight(policy)
        await ask(MODE.block, { policies: [policy], cost: 0 }, 7_200 * SECOND)
        ok((await life(policy)) > 7_100_000, `${policy}, blocked`)
        await resize(policy, 5, 10_800 * SECOND)
        const resized = await life(policy)
        ok(resized > 10_700_000, `${policy}, resized`)
        // No longer than a minute and what is needed, so that most writes leave it as it is.
        if (policy !== 'yearly') ok(resized < 10_800_000 + 62_000, `${policy}, for too long`)
        for (let call = 0; call < 3; call++) await ask(MODE.check, { policies: [policy] })
        ok((await life(policy)) > 10_600_000, `${policy}, brought forward`)
      }
      const { ask: again, keyOf: key } = asking(ground, script, {
        gcra: gcra({ limit: 1_000, per: '1s', plans: { slow: { limit: 1, burst: 1_000 } } }),
      })
      const left = async () => await ground.operator.pttl((await key('gcra')) ?? '')
      await again(MODE.check, {})
      strictEqual((await left()) < 10_000, true)
      await again(MODE.check, { cost: 500, plan: 'slow' })
      for (let call = 0; call < 3; call++) {
        strictEqual((await left()) > 400_000, true)
        await again(MODE.check, {})
      }
      // What is in use lasts as long as the limit that holds says, from the moment it holds.
      const own = asking(ground, script, { api: gcra({ limit: 1, per: '1s', burst: 1_000 }) })
      await own.resize('api', { limit: 100, burst: 1_000 }, 2 * SECOND)
      await own.ask(MODE.check, { cost: 900 })
      await own.resize('api', undefined, SECOND)
      strictEqual((await ground.operator.pttl((await own.keyOf('api')) ?? '')) > 600_000, true)
    },
  },
  {
    seeded: false,
    promise: 'gives back what a charge still holds when the limit has changed since',
    async run(ground, script) {
      const store = storeOf(ground, clocked(script))
      const shapes = new Shapes({ api: gcra({ limit: 1_000, per: '1s' }) })
      const charge = shapes.of(MODE.check, { cost: 10 })
      await setClock(ground, START)
      const charged = await store.run(charge, 'subject')
      await store.run(shapes.resize('api', 700, 60 * SECOND), 'subject')
      await setClock(ground, START + 5_000)
      const { slots } = await store.run(giveBack(charge, charged), 'subject')
      deepStrictEqual(slots[0]?.a, 0)
      await store.close()
    },
  },
  {
    seeded: false,
    promise: 'holds the debt of a quota to what its sizes bring back within the windows known',
    async run(ground, script) {
      const { ask } = asking(ground, clocked(script), {
        hourly: quota({ limit: 10, period: 'hour', plans: { large: 30 } }),
      })
      await setClock(ground, START)
      await ask(MODE.charge, { cost: 80, plan: 'large' })
      const owed = async (at: number, plan?: string) => {
        await setClock(ground, at)
        return (await ask(MODE.peek, { plan })).slots[0]
      }
      // At the end of this hour 30 come back, of the next two 10 or 30.
      deepStrictEqual([(await owed(START, 'large'))?.a, (await owed(START))?.a], [80_000, 50_000])
      const HOUR = 3_600 * SECOND
      deepStrictEqual(
        [(await owed(START + HOUR, 'large'))?.a, (await owed(START + HOUR))?.a],
        [50_000, 30_000],
      )
      // A larger size under which nothing is in use any more brings nothing back.
      await ask(MODE.charge, { plan: 'large' })
      await ask(MODE.block, { cost: 0 }, HOUR)
      await ask(MODE.refund, { cost: 60, plan: 'large' })
      await ask(MODE.charge, {})
      deepStrictEqual((await owed(START + HOUR))?.c, 10_000)
    },
  },
  {
    seeded: false,
    promise: 'forgets a subject that is as good as new',
    async run(ground, script) {
      const { ask, names, keyOf } = asking(ground, script, {
        ...everyAlgorithm,
        hourly: quota({ limit: 3, period: 'year' }),
      })
      for (const policy of names) {
        await ask(MODE.charge, { policies: [policy] })
        ok(await keyOf(policy), policy)
        await ask(MODE.reset, { policies: [policy], cost: 0 })
        deepStrictEqual([policy, await keyOf(policy)], [policy, undefined])
        await ask(MODE.check, { policies: [policy] })
        await ask(MODE.refund, { policies: [policy] })
        if (policy !== 'log') deepStrictEqual([policy, await keyOf(policy)], [policy, undefined])
      }
    },
  },
  {
    seeded: false,
    promise: 'takes the short way for what most calls are, and answers the same there',
    async run(ground, script) {
      const head = 'return function(mode, argument, policies)\n'
      strictEqual(script.lua.includes(head), true)
      const counted = redisScript(clocked(script).lua.replace(head, `${head}call('SET', 'clock:long', 1)\n`))
      const { ask } = asking({ ...ground, user: ground.operator }, counted, {
        gcra: gcra({ limit: 100, per: '1s' }),
        coarse: gcra({ limit: 1_000_003, per: '1d' }),
        fixed: fixedWindow({ limit: 100, per: '1h' }),
      })
      await setClock(ground, START)
      for (const policy of ['gcra', 'coarse', 'fixed']) {
        await ask(MODE.check, { policies: [policy] })
        await setClock(ground, START + 1_000)
        await ground.operator.del('clock:long')
        await ask(MODE.check, { policies: [policy] })
        deepStrictEqual([policy, await ground.operator.exists('clock:long')], [policy, 0])
      }
      // And what is the same for operations that follow each other is looked up once.
      const change = 'local shape = shapes[runs[r]]\n'
      strictEqual(script.lua.includes(change), true)
      const looking = redisScript(
        clocked(script).lua.replace(change, `${change}call('INCR', 'clock:looked')\n`),
      )
      const { ask: askAlike } = asking({ ...ground, user: ground.operator }, looking, everyAlgorithm)
      await ground.operator.del('clock:looked')
      await Promise.all(Array.from({ length: 5 }, () => askAlike(MODE.check, {})))
      deepStrictEqual(await ground.operator.get('clock:looked'), '1')
    },
  },
]
