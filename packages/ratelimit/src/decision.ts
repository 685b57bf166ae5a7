import type { LimitError } from './errors.ts'
import type { State } from './kernel.ts'
import { MODE, type Outcome, type Shape, type Slot, type SlotOutcome, windowsOf } from './operation.ts'
import { INTERNALS } from './policy.ts'

/** Where one policy stands after a decision. Times are milliseconds, amounts units. */
export interface PolicyDecision {
  /** Whether the cost fitted this policy. */
  readonly allowed: boolean
  /** Units per window. */
  readonly limit: number
  /** Most units that can be used at one moment. */
  readonly capacity: number
  /** Whole units left now. */
  readonly remaining: number
  /** 0 when allowed; the exact time until this cost fits if nothing else is charged; Infinity for never. */
  readonly retryAfter: number
  /** Until nothing is in use any more, if nothing else is charged. */
  readonly resetAfter: number
  readonly window: number
  readonly unit: string
  /** True for a policy that only reports. */
  readonly shadow: boolean
}

/** Who decided: Redis, a lease, the memory store, the cache of denials, or a failure mode. */
export type DecisionSource = 'redis' | 'lease' | 'memory' | 'cache' | 'local' | 'open' | 'closed'

/** Why something was denied: used up, larger than the capacity, blocked, or the store is gone (`closed`). */
export type DenialReason = 'limit' | 'never' | 'blocked' | 'unavailable'

/** The answer to one check. A denial is a value, and it charged nothing. */
export interface Decision<Name extends string = string> {
  readonly allowed: boolean
  /** Absent when allowed. */
  readonly reason: DenialReason | undefined
  /** The enforced policies that stood in the way. */
  readonly limitedBy: readonly Name[]
  /** Milliseconds until the same request fits if nothing else is charged: 0 when allowed, Infinity for never. */
  readonly retryAfter: number
  /** One entry per policy asked; none when a failure mode decided without counting. */
  readonly policies: { readonly [Policy in Name]?: PolicyDecision }
  readonly source: DecisionSource
  /** Why Redis could not decide, when a failure mode did. */
  readonly error: LimitError | undefined
}

const NOBODY: readonly never[] = []

/** Turns a store's numbers into the answer users see. */
export function decisionOf(
  shape: Shape,
  outcome: Outcome,
  source: DecisionSource,
  error?: LimitError,
): Decision {
  const { now, slots } = outcome
  const policies: Record<string, PolicyDecision> = {}
  let limitedBy: string[] | undefined
  let reason: DenialReason | undefined
  let retryAfter = 0
  for (let index = 0; index < slots.length; index++) {
    const slot = shape.slots[index] as Slot
    const found = slots[index] as SlotOutcome
    const { policy } = slot
    const blockedFor = found.blocked > now ? found.blocked - now : 0
    const wait = Math.max(found.wait, blockedFor) / 1_000
    policies[slot.name] = policyDecisionOf(slot, found, now, wait)
    if (policy.mode === 'shadow' || wait === 0) continue
    if (outcome.granted && shape.mode === MODE.check) continue
    limitedBy ??= []
    limitedBy.push(slot.name)
    if (wait > retryAfter) retryAfter = wait
    if (wait === Number.POSITIVE_INFINITY) reason = 'never'
    else if (blockedFor > 0 && reason !== 'never') reason = 'blocked'
    else reason ??= 'limit'
  }
  return {
    allowed: reason === undefined,
    reason,
    limitedBy: limitedBy ?? NOBODY,
    retryAfter,
    policies,
    source,
    error,
  }
}

function policyDecisionOf(slot: Slot, found: SlotOutcome, now: number, wait: number): PolicyDecision {
  const { policy } = slot
  const { kernel, parameters: base } = policy[INTERNALS]
  const { parameters } = found
  const own = parameters !== base
  const state = found as State
  const room = Math.floor((parameters.cap - kernel.used(state, now, parameters)) / 1_000)
  return {
    allowed: wait === 0,
    limit: own ? kernel.limitOf(parameters, policy.window * 1_000) / 1_000 : policy.limit,
    capacity: own ? parameters.cap / 1_000 : policy.capacity,
    remaining: room > 0 ? room : 0,
    retryAfter: wait,
    resetAfter: kernel.timeToFull(state, now, parameters, windowsOf(slot, now)) / 1_000,
    window: policy.window,
    unit: policy.unit,
    shadow: policy.mode === 'shadow',
  }
}
