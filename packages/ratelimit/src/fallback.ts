import type { Decision } from './decision.ts'
import { decisionOf } from './decision.ts'
import type { LimitError } from './errors.ts'
import type { MemoryStore } from './memory-store.ts'
import { type Outcome, Shape, type Slot } from './operation.ts'
import { type FailureMode, INTERNALS } from './policy.ts'

export interface FallbackOptions {
  readonly onError: FailureMode
  readonly store: MemoryStore
  /** Processes that share the limits. */
  readonly nodes: () => number
}

/** What a client is told to wait when everything is denied because the store is gone, in milliseconds. */
const CLOSED_RETRY = 1_000

/** Decides while Redis cannot, policy by policy as `onError` says. One closed policy denies the whole call. */
export class Fallback {
  readonly #options: FallbackOptions
  readonly #shares = new WeakMap<Shape, { readonly nodes: number; readonly shape: Shape }>()

  constructor(options: FallbackOptions) {
    this.#options = options
  }

  decide(
    shape: Shape,
    subject: string,
    error: LimitError,
  ): { readonly decision: Decision; readonly shape?: Shape; readonly outcome?: Outcome } {
    const closed = shape.slots.filter((slot) => this.#modeOf(slot) === 'closed')
    if (closed.length > 0) {
      return {
        decision: {
          allowed: false,
          reason: 'unavailable',
          limitedBy: closed.map((slot) => slot.name),
          retryAfter: CLOSED_RETRY,
          policies: {},
          source: 'closed',
          error,
        },
      }
    }
    const share = this.#shareOf(shape)
    if (share.slots.length === 0) return { decision: openDecision(error) }
    const outcome = this.#options.store.run(share, subject)
    return { decision: decisionOf(share, outcome, 'local', error), shape: share, outcome }
  }

  #modeOf(slot: Slot): FailureMode {
    if (slot.policy.mode === 'shadow') return 'open'
    return slot.policy.onError ?? this.#options.onError
  }

  // The local policies alone, each cut to this node's share.
  #shareOf(shape: Shape): Shape {
    const nodes = Math.max(1, this.#options.nodes())
    const known = this.#shares.get(shape)
    if (known?.nodes === nodes) return known.shape
    const slots = shape.slots
      .filter((slot) => this.#modeOf(slot) === 'local')
      .map((slot) => ({ ...slot, parameters: slot.policy[INTERNALS].share(slot.parameters, nodes) }))
    const share = new Shape(shape.mode, slots, shape.argument)
    this.#shares.set(shape, { nodes, shape: share })
    return share
  }
}

function openDecision(error: LimitError): Decision {
  return {
    allowed: true,
    reason: undefined,
    limitedBy: [],
    retryAfter: 0,
    policies: {},
    source: 'open',
    error,
  }
}
