import { type Outcome, type Shape, type Slot, type SlotOutcome, stateOf, windowsOf } from './operation.ts'
import { INTERNALS } from './policy.ts'

interface Denial {
  readonly shape: Shape
  readonly outcome: Outcome
}

export interface DenyCacheOptions {
  /** Most subjects remembered; 0 turns the cache off. */
  readonly max: number
  /** Milliseconds after which the store is asked again whatever the arithmetic says. */
  readonly maxAge: number
}

/**
 * Answers for the store while it would surely deny: the numbers of the last denial, aged by this process'
 * monotonic clock, decide for any cost. Others can only have charged more since, so a denial found here is
 * one the store would give too. The exceptions are a refund, reset, unblock or new limit: this process'
 * own ones call `forget`, those of other processes are seen after `maxAge` at the latest.
 */
export class DenyCache {
  readonly #options: DenyCacheOptions
  readonly #denials = new Map<string, Denial>()

  constructor(options: DenyCacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#denials.size
  }

  remember(subject: string, shape: Shape, outcome: Outcome): void {
    if (this.#options.max === 0) return
    this.#denials.delete(subject)
    this.#denials.set(subject, { shape, outcome })
    if (this.#denials.size > this.#options.max) {
      for (const oldest of this.#denials.keys()) {
        this.#denials.delete(oldest)
        break
      }
    }
  }

  forget(subject: string): void {
    this.#denials.delete(subject)
  }

  clear(): void {
    this.#denials.clear()
  }

  /** The outcome of a denial, or undefined when the store has to be asked. */
  find(subject: string, shape: Shape): Outcome | undefined {
    const denial = this.#denials.get(subject)
    if (!denial) return undefined
    if (denial.shape !== shape && denial.shape.family !== shape.family) return undefined
    const asked = performance.now() * 1_000
    // Counted from before the store was asked, so the store's clock is never ahead of this one.
    const age = Math.ceil(asked - denial.outcome.asked)
    if (age <= this.#options.maxAge * 1_000) {
      const now = denial.outcome.now + age
      const slots: SlotOutcome[] = []
      let denied = false
      for (let index = 0; index < shape.slots.length; index++) {
        const slot = shape.slots[index] as Slot
        const aged = agedOutcome(slot, denial, index, now, age)
        if (!aged) return undefined
        slots.push(aged)
        if (slot.policy.mode === 'enforce' && (aged.wait > 0 || aged.blocked > now)) denied = true
      }
      if (denied) return { now, granted: false, wait: 0, slots, asked }
    }
    this.#denials.delete(subject)
    return undefined
  }
}

function agedOutcome(
  slot: Slot,
  denial: Denial,
  index: number,
  now: number,
  age: number,
): SlotOutcome | undefined {
  const { kernel, calendar } = slot.policy[INTERNALS]
  const found = denial.outcome.slots[index] as SlotOutcome
  const { parameters, blocked } = found
  if (kernel.code === 5) {
    // The entries stayed in Redis: only a cost at least as large is known to be denied as long.
    if (slot.cost < (denial.shape.slots[index]?.cost ?? 0)) return undefined
    const wait = Math.max(0, found.wait - age)
    return { fits: wait === 0, wait, blocked, parameters, a: found.a, b: found.b, c: found.c }
  }
  const state = stateOf(slot, found)
  const windows = calendar ? windowsOf(slot, now) : NONE
  kernel.refresh(state, now, parameters, windows)
  const wait = kernel.wait(state, now, slot.cost, parameters, windows)
  return { fits: wait === 0, wait, blocked, parameters, a: state.a, b: state.b, c: state.c }
}

const NONE: readonly number[] = []
