import { deepStrictEqual } from 'node:assert'
import { type Decision, decisionOf } from '../../src/decision.ts'
import { fixedWindow, gcra, quota, slidingLog, slidingWindow, tokenBucket } from '../../src/index.ts'
import type { ChargeMark } from '../../src/kernel.ts'
import { MODE, type Outcome, Shape } from '../../src/operation.ts'
import { INTERNALS, type Policy, type PolicySize } from '../../src/policy.ts'
import { marksOf } from '../../src/reservation.ts'
import { Shapes } from '../../src/shapes.ts'
import { type Kind, type Mark, Reference, type ReferencePolicy, type Size } from './reference.ts'

/** A seeded stream of numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface StoreUnderTest {
  /** Runs operations in one event-loop turn, all at the time given. */
  run(
    now: number,
    operations: readonly { readonly shape: Shape; readonly subject: string }[],
  ): Promise<Outcome[]>
}

interface Described {
  readonly policy: Policy
  readonly model: ReferencePolicy
  /** By the name of a plan; `base` is the policy's own size. */
  readonly sizes: Readonly<Record<PlanName, Size>>
  readonly named: Named
}

const PLANS = ['base', 'small', 'large'] as const
type PlanName = (typeof PLANS)[number]

const SECOND = 1_000_000

/** What a policy's factory calls such a size. */
type Named = (size: Size) => Exclude<PolicySize, number>

const limitAndBurst: Named = ({ cap, rate }) => ({ limit: rate / 1_000, burst: cap / 1_000 })
const capacityAndRefill: Named = ({ cap, rate }) => ({ capacity: cap / 1_000, refill: rate / 1_000 })
const limitAlone: Named = ({ cap }) => ({ limit: cap / 1_000 })

/** A policy that `make` makes of its options, and what it means; its plans are sizes with awkward ratios to its own. */
function described(
  kind: Kind,
  window: number,
  base: Size,
  named: Named,
  make: (options: { readonly plans: Readonly<Record<string, PolicySize>> }) => Policy,
  starts?: readonly number[],
): Described {
  const scaled = (by: number): Size => ({
    cap: Math.max(1_000, Math.round(base.cap * by)),
    rate: Math.max(1_000, Math.round(base.rate * by)),
  })
  const sizes = { base, small: scaled(0.37), large: scaled(2.9) }
  const policy = make({ plans: { small: named(sizes.small), large: named(sizes.large) } })
  const shadow = policy.mode === 'shadow'
  return { policy, sizes, named, model: { kind, window, shadow, ...(starts && { starts }) } }
}

/** One policy of each algorithm and shape of size. */
const POLICIES: Readonly<Record<string, Described>> = {
  gcra: described('fluid', SECOND, { cap: 12_000, rate: 7_000 }, limitAndBurst, (options) =>
    gcra({ limit: 7, per: '1s', burst: 12, ...options }),
  ),
  slow: described('fluid', 10 * SECOND, { cap: 3_000, rate: 3_000 }, limitAndBurst, (options) =>
    gcra({ limit: 3, per: '10s', ...options }),
  ),
  bucket: described('fluid', 2 * SECOND, { cap: 20_000, rate: 6_000 }, capacityAndRefill, (options) =>
    tokenBucket({ capacity: 20, refill: 6, per: '2s', ...options }),
  ),
  interval: described('step', SECOND, { cap: 9_000, rate: 4_000 }, capacityAndRefill, (options) =>
    tokenBucket({ capacity: 9, refill: 4, per: '1s', style: 'interval', ...options }),
  ),
  fixed: described('step', 1_500_000, { cap: 8_000, rate: 8_000 }, limitAlone, (options) =>
    fixedWindow({ limit: 8, per: 1_500, ...options }),
  ),
  hourly: described('quota', 3_600 * SECOND, { cap: 10_000, rate: 10_000 }, limitAlone, (options) =>
    quota({ limit: 10, period: 'hour', ...options }),
  ),
  daily: described(
    'quota',
    86_400 * SECOND,
    { cap: 12_000, rate: 12_000 },
    limitAlone,
    (options) => quota({ limit: 12, period: 'day', timeZone: 'Europe/Berlin', ...options }),
    // Midnights in Berlin. The day that begins on the 28th at 23:00 has 23 hours.
    Array.from({ length: 40 }, (_, day) => Date.UTC(2026, 2, 10 + day, 10 + day < 29 ? 23 : 22) * 1_000),
  ),
  sliding: described('counter', SECOND, { cap: 9_000, rate: 9_000 }, limitAlone, (options) =>
    slidingWindow({ limit: 9, per: '1s', ...options }),
  ),
  one: described('counter', 700_000, { cap: 1_000, rate: 1_000 }, limitAlone, (options) =>
    slidingWindow({ limit: 1, per: 700, ...options }),
  ),
  log: described('log', SECOND, { cap: 6_000, rate: 6_000 }, limitAlone, (options) =>
    slidingLog({ limit: 6, per: '1s', ...options }),
  ),
  trial: described('fluid', SECOND, { cap: 2_000, rate: 2_000 }, limitAndBurst, (options) =>
    gcra({ limit: 2, per: '1s', mode: 'shadow', ...options }),
  ),
}

/**
 * Random operations on a few subjects, each answer of the store compared with the reference in every field.
 * The clock only goes forward, from microseconds to many windows at a time.
 */
export async function playScenario(store: StoreUnderTest, seed: number, turns: number): Promise<number> {
  const random = seeded(seed)
  const integer = (below: number) => Math.floor(random() * below)
  const pick = <T>(list: readonly T[]): T => list[integer(list.length)] as T
  const policies = Object.fromEntries(Object.entries(POLICIES).map(([name, { policy }]) => [name, policy]))
  const models = Object.fromEntries(Object.entries(POLICIES).map(([name, { model }]) => [name, model]))
  const shapes = new Shapes(policies)
  const reference = new Reference(models)
  const names = Object.keys(POLICIES)
  const paced = names.filter((name) => policies[name]?.[INTERNALS].kernel.paced)
  const granted: { subject: string; shape: Shape; plan: PlanName; marks: ChargeMark[]; models: Mark[] }[] = []
  let now = Date.UTC(2026, 2, 28, 22, 0, 0) * 1_000 + integer(SECOND)
  let compared = 0
  // Half of the scenarios are dense, so that short windows fill up; the others jump far ahead.
  const steps =
    seed % 2 === 0
      ? [0, 0, 1, 1_000, 20_000, 60_000, 150_000]
      : [0, 1, 1_000, 50_000, 400_000, 2 * SECOND, 30 * SECOND]

  const cost = () => pick([0, 250, 1_000, 1_000, 1_000, 2_000, 3_500, integer(15_000)])
  const some = (from: readonly string[]) => {
    const count = 1 + integer(3)
    return [...new Set(Array.from({ length: count }, () => pick(from)))]
  }
  const sizeOf = (name: string, plan: PlanName) => (POLICIES[name] as Described).sizes[plan]
  const chargeOf = (chosen: readonly string[]) => {
    const costs = Object.fromEntries(chosen.map((name) => [name, cost()]))
    const plan: PlanName = random() < 0.7 ? 'base' : pick(PLANS)
    const charge = {
      policies: chosen,
      ...(plan !== 'base' && { plan }),
      cost: Object.fromEntries(Object.entries(costs).map(([name, milli]) => [name, milli / 1_000])),
    }
    const request = {
      policies: chosen.map((name) => ({ name, cost: costs[name] ?? 0, size: sizeOf(name, plan) })),
    }
    return { charge, request, plan }
  }

  for (let turn = 0; turn < turns; turn++) {
    now += integer(pick(steps) + 1)
    if (random() < 0.01) now += integer(3 * 3_600 * SECOND)
    if (random() < 0.005) now += integer(36 * 3_600 * SECOND)
    const operations: {
      shape: Shape
      subject: string
      judge: (decision: Decision, outcome: Outcome) => void
    }[] = []
    const count = 1 + integer(4)
    for (let index = 0; index < count; index++) {
      const subject = pick(['a', 'b', 'c'])
      const dice = random()
      const at = now
      const label = `seed ${seed}, turn ${turn}, operation ${index}`
      if (dice < 0.62) {
        const charging = dice < 0.5
        const pacing = charging && random() < 0.2
        const { charge, request, plan } = chargeOf(some(pacing ? paced : names))
        const patience = pacing ? integer(8 * SECOND) : 0
        const shape = shapes.of(charging ? MODE.check : MODE.peek, charge, patience)
        const expected = reference.check(subject, at, { ...request, patience }, charging)
        operations.push({
          shape,
          subject,
          judge(decision, outcome) {
            const { marks, ...answer } = expected
            deepStrictEqual({ label, ...plain(decision) }, { label, ...answer })
            compared++
            if (charging && decision.allowed) {
              granted.push({ subject, shape, plan, marks: marksOf(shape, outcome), models: [...marks] })
              if (granted.length > 20) granted.shift()
            }
          },
        })
        continue
      }
      const quiet = () => {}
      if (dice < 0.7) {
        const { charge, request } = chargeOf(some(names))
        reference.penalty(subject, at, request)
        operations.push({ shape: shapes.of(MODE.charge, charge), subject, judge: quiet })
      } else if (dice < 0.78) {
        const { charge, request } = chargeOf(some(names))
        reference.refund(subject, at, request)
        operations.push({ shape: shapes.of(MODE.refund, charge), subject, judge: quiet })
      } else if (dice < 0.86 && granted.length > 0) {
        const [charged] = granted.splice(integer(granted.length), 1)
        if (!charged) continue
        const slots = charged.shape.slots.flatMap((slot, index) => {
          const mark = charged.marks[index]
          return mark && slot.cost > 0 ? [{ ...slot, cost: 1 + integer(slot.cost), mark, index }] : []
        })
        if (slots.length === 0) continue
        reference.refund(charged.subject, at, {
          policies: slots.map(({ name, cost: back, index }) => {
            const mark = charged.models[index]
            return { name, cost: back, size: sizeOf(name, charged.plan), ...(mark ? { mark } : {}) }
          }),
        })
        operations.push({ shape: new Shape(MODE.refund, slots), subject: charged.subject, judge: quiet })
      } else if (dice < 0.9) {
        const { charge, request } = chargeOf(some(names))
        const length = pick([0, 0, integer(2 * SECOND)])
        reference.block(subject, at, request, length)
        operations.push({
          shape: shapes.of(MODE.block, { ...charge, cost: 0 }, length),
          subject,
          judge: quiet,
        })
      } else if (dice < 0.93) {
        const { charge, request } = chargeOf(some(names))
        reference.reset(subject, at, { policies: request.policies })
        operations.push({ shape: shapes.of(MODE.reset, { ...charge, cost: 0 }), subject, judge: quiet })
      } else {
        const name = pick(names)
        const base = sizeOf(name, 'base')
        const factor = pick([0, 0.5, 2, 3])
        const size =
          factor === 0
            ? undefined
            : { cap: Math.max(1_000, base.cap * factor), rate: Math.max(1_000, base.rate * factor) }
        reference.setLimit(subject, at, name, size, base)
        const given = size && POLICIES[name]?.named(size)
        operations.push({ shape: shapes.resize(name, given, 400 * 86_400 * SECOND), subject, judge: quiet })
      }
    }
    const outcomes = await store.run(now, operations)
    for (const [index, { shape, judge }] of operations.entries()) {
      const outcome = outcomes[index] as Outcome
      judge(decisionOf(shape, outcome, 'redis'), outcome)
    }
  }
  return compared
}

/** All that a decision says, but who decided. */
function plain({ source: _source, error: _error, ...decision }: Decision) {
  return decision
}
