import { LimitConfigError } from './errors.ts'
import type { ChargeMark, Parameters } from './kernel.ts'
import { MODE, type Mode, Shape, type Slot } from './operation.ts'
import { INTERNALS, MAX_LIMIT, type Policy, type PolicySize } from './policy.ts'

/** What one unit of work costs: the same for every policy, or by policy (1 for those not named). */
export type Cost<Name extends string = string> = number | { readonly [Policy in Name]?: number }

/** Which limits a call is held against, and how much of them it uses. */
export interface Charge<Name extends string = string> {
  /** @default 1 */
  readonly cost?: Cost<Name> | undefined
  /** @default all policies */
  readonly policies?: readonly Name[] | undefined
  /** The size each policy's `plans` gives this plan; policies without it keep their own. */
  readonly plan?: string | undefined
  /** Sizes for this call alone, by policy; they win over `plan`. */
  readonly limits?: { readonly [Policy in Name]?: PolicySize } | undefined
}

// Distinct combinations of cost, plan and policies that are remembered with their encoded form.
const MAX_REMEMBERED = 1_000

/** Turns the arguments of calls into shapes, and keeps those that come again. */
export class Shapes {
  readonly #policies: Readonly<Record<string, Policy>>
  readonly #names: readonly string[]
  readonly #plans: ReadonlySet<string>
  readonly #remembered = new Map<string, Shape>()
  readonly #plain: Shape

  constructor(policies: Readonly<Record<string, Policy>>) {
    this.#policies = policies
    this.#names = Object.keys(policies)
    this.#plans = new Set(Object.values(policies).flatMap((policy) => policy.plans))
    this.#plain = this.#build(MODE.check, {}, 0)
  }

  get names(): readonly string[] {
    return this.#names
  }

  of(mode: Mode, charge: Charge | undefined, argument = 0): Shape {
    if (charge !== undefined) assertObject('options', charge)
    if (mode === MODE.check && argument === 0 && (charge === undefined || isPlain(charge))) return this.#plain
    const { cost, policies, plan, limits } = charge ?? {}
    // Before what is remembered is looked up: in the key a NaN looks like nothing given.
    this.#assertCost(cost)
    if (limits !== undefined) assertObject('limits', limits)
    if (policies !== undefined && !Array.isArray(policies))
      throw badArgument('policies must be a list of names of policies')
    if (plan !== undefined && !this.#plans.has(plan)) {
      throw badArgument('no policy of this limiter has that plan: add it to `plans`')
    }
    const key =
      limits === undefined &&
      JSON.stringify([mode, argument, typeof cost === 'object' ? Object.entries(cost) : cost, policies, plan])
    const known = key ? this.#remembered.get(key) : undefined
    if (known) return known
    const shape = this.#build(mode, charge ?? {}, argument)
    if (key) {
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
      this.#remembered.set(key, shape)
    }
    return shape
  }

  /** One policy with parameters of its own, for `setLimit`. */
  resize(name: string, size: PolicySize | undefined, life: number): Shape {
    const policy = this.#policy(name)
    const { resize, parameters } = policy[INTERNALS]
    const own = size === undefined ? undefined : resize(size)
    return new Shape(MODE.resize, [{ ...this.#slot(name, policy, 0, parameters), own }], life)
  }

  /** The part of a charge that differs from what was charged at first: more is charged, less given back. */
  settle(
    shape: Shape,
    marks: readonly ChargeMark[],
    actual: Cost | undefined,
  ): { readonly back: Shape | undefined; readonly more: Shape | undefined } {
    this.#assertCost(actual)
    const back: Slot[] = []
    const more: Slot[] = []
    for (const [index, slot] of shape.slots.entries()) {
      const mark = marks[index]
      if (!mark) continue
      const cost = costOf(actual, slot.name)
      const difference = cost === undefined ? 0 : milliOf(slot.name, cost) - slot.cost
      if (difference < 0) back.push({ ...slot, cost: -difference, mark })
      if (difference > 0) more.push({ ...slot, cost: difference })
    }
    return {
      back: back.length > 0 ? new Shape(MODE.refund, back) : undefined,
      more: more.length > 0 ? new Shape(MODE.charge, more) : undefined,
    }
  }

  #build(mode: Mode, charge: Charge, argument: number): Shape {
    const { cost = 1, policies = this.#names, plan, limits } = charge
    if (policies.length === 0) throw badArgument('name at least one policy, or none to use all')
    for (const name of Object.keys(limits ?? {})) this.#policy(name)
    const slots = policies.map((name) => {
      const policy = this.#policy(name)
      const { parameters, plan: planned, resize } = policy[INTERNALS]
      const size = limits && Object.hasOwn(limits, name) ? limits[name] : undefined
      const chosen =
        size !== undefined ? resize(size) : ((plan === undefined ? undefined : planned(plan)) ?? parameters)
      return this.#slot(name, policy, milliOf(name, costOf(cost, name) ?? 1), chosen)
    })
    if (new Set(policies).size !== policies.length)
      throw badArgument('a policy is named twice in `policies`: name each once')
    return new Shape(mode, slots, argument)
  }

  #slot(name: string, policy: Policy, cost: number, parameters: Parameters): Slot {
    const place = this.#names.indexOf(name)
    const suffix = `:${name}:${policy[INTERNALS].storage}`
    return { name, policy, place, cost, parameters, suffix, mark: undefined }
  }

  // A number in a string, as requests have them, would otherwise count as no cost given.
  #assertCost(cost: unknown): void {
    if (cost === undefined) return
    if (typeof cost === 'number') milliOf(undefined, cost)
    else if (typeof cost !== 'object' || cost === null || Array.isArray(cost)) {
      throw badArgument('a cost must be a number of units, or an object of such numbers by policy')
    } else {
      for (const [name, units] of Object.entries(cost)) {
        this.#policy(name)
        if (units !== undefined) milliOf(name, units)
      }
    }
  }

  #policy(name: string): Policy {
    const policy = Object.hasOwn(this.#policies, name) ? this.#policies[name] : undefined
    if (!policy) throw badArgument(`there is no policy of that name; there are ${this.#names.join(', ')}`)
    return policy
  }
}

function isPlain(charge: Charge): boolean {
  return (
    charge.cost === undefined &&
    charge.policies === undefined &&
    charge.plan === undefined &&
    charge.limits === undefined
  )
}

// A number where an object belongs would otherwise count as nothing given.
export function assertObject(what: string, given: unknown): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw badArgument(
      `${what} must be an object: a cost is given as { cost: 5 }, a size as { limits: { … } }`,
    )
  }
}

// Policies may be called `constructor` or `toString`, which every object seems to have.
function costOf(cost: Cost | undefined, name: string): number | undefined {
  if (cost === undefined || typeof cost === 'number') return cost
  return Object.hasOwn(cost, name) ? cost[name] : undefined
}

function milliOf(name: string | undefined, units: unknown): number {
  const milli = typeof units === 'number' ? Math.round(units * 1_000) : Number.NaN
  if (!(milli >= 0 && milli <= MAX_LIMIT * 1_000)) {
    const what = name === undefined ? 'a cost' : `the cost for ${name}`
    throw badArgument(`${what} must be a number of units between 0 and ${MAX_LIMIT}`)
  }
  return milli
}

export function badArgument(message: string): LimitConfigError {
  return new LimitConfigError('LIMIT_ERR_BAD_ARGUMENT', message)
}
