import type { ChargeMark, Parameters, State } from './kernel.ts'
import { INTERNALS, type Policy } from './policy.ts'

/** What a script call does with one subject. The numbers are the script's. */
export const MODE = {
  /** Charge all policies if all fit now (or, when pacing, within the longest wait), else none. */
  check: 1,
  peek: 2,
  charge: 3,
  refund: 4,
  block: 5,
  resize: 6,
  reset: 7,
} as const

export type Mode = (typeof MODE)[keyof typeof MODE]

/** One policy's part in an operation. */
export interface Slot {
  readonly name: string
  readonly policy: Policy
  /** The policy's number among those of its limiter. */
  readonly place: number
  /** Milli-units. */
  readonly cost: number
  readonly parameters: Parameters
  /** What follows the subject in the storage key. */
  readonly suffix: string
  readonly mark: ChargeMark | undefined
  /** The subject's own limit that `resize` sets; absent to take it away. */
  readonly own?: Parameters | undefined
}

/**
 * An operation without its subject. Most calls share one, so what the script needs to know about it is
 * encoded once.
 */
export class Shape {
  readonly mode: Mode
  readonly slots: readonly Slot[]
  /** Microseconds: the longest wait of a paced check, the length of a block, the life of a new limit. */
  readonly argument: number
  readonly calendar: boolean
  #family = ''
  #encoded = ''
  #windows: readonly (readonly number[])[] = []

  constructor(mode: Mode, slots: readonly Slot[], argument = 0) {
    this.mode = mode
    this.slots = slots
    this.argument = argument
    this.calendar = slots.some((slot) => slot.policy[INTERNALS].calendar !== undefined)
  }

  /** Equal for operations that differ only in their costs. */
  get family(): string {
    if (this.#family === '') {
      const limits = this.slots.map(({ suffix, parameters: { cap, x, y, z } }) => [suffix, cap, x, y, z])
      this.#family = JSON.stringify(limits)
    }
    return this.#family
  }

  /** JSON for the script: `[mode, argument, [[kernel, shadow, cost, limit, windows, extra], …]]`. */
  encode(now: number): string {
    if (this.calendar) {
      const windows = this.slots.map((slot) => windowsOf(slot, now))
      if (windows.some((list, index) => list !== this.#windows[index])) {
        this.#windows = windows
        this.#encoded = ''
      }
    }
    if (this.#encoded === '') this.#encoded = JSON.stringify(this.#describe(now))
    return this.#encoded
  }

  #describe(now: number): unknown {
    const policies = this.slots.map((slot) => {
      const { cap, x, y, z } = slot.parameters
      return [
        slot.policy[INTERNALS].kernel.code,
        slot.policy.mode === 'shadow' ? 1 : 0,
        slot.cost,
        [cap, x, y, z],
        windowsOf(slot, now),
        extraOf(slot),
      ]
    })
    return [this.mode, this.argument, policies]
  }
}

// The charge a refund belongs to, or the limit to set.
function extraOf({ mark, own }: Slot): readonly number[] | 0 {
  if (own) return [own.cap, own.x, own.y, own.z]
  return mark ? [mark.at, mark.a, mark.c, mark.cost] : 0
}

const NO_WINDOWS: readonly number[] = []

/** The calendar's boundaries around `now`, for quotas; empty for other algorithms. */
export function windowsOf(slot: Slot, now: number): readonly number[] {
  return slot.policy[INTERNALS].calendar?.windows(now) ?? NO_WINDOWS
}

/** What a store found for one policy. Numbers as in the kernel's state, after the operation. */
export interface SlotOutcome {
  /** The cost fitted, blocks apart. */
  readonly fits: boolean
  /** Microseconds until it fits; Infinity when it never does. */
  readonly wait: number
  /** End of the block, in the store's time; 0 when there is none. */
  readonly blocked: number
  /** Differs from the slot's when the subject has a limit of its own. */
  readonly parameters: Parameters
  readonly a: number
  readonly b: number
  readonly c: number
}

/** The state that was found, to be aged here. Of a log's charges only the sum and the newest time are known. */
export function stateOf(slot: Slot, { a, b, c, parameters }: SlotOutcome): State {
  const { code } = slot.policy[INTERNALS].kernel
  if (code === 5) return { a, b, c, entries: [{ at: b, cost: a }] }
  return { a, b, c: code === 1 ? parameters.y : c }
}

export interface Outcome {
  /** The store's time in microseconds. */
  readonly now: number
  readonly granted: boolean
  /** Microseconds until a paced grant begins. */
  readonly wait: number
  readonly slots: readonly SlotOutcome[]
  /** When it was asked, in microseconds of this process' monotonic clock; not after `now` was read. */
  readonly asked: number
}
