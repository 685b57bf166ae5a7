import type { Decision } from './decision.ts'
import { LimitUnavailableError } from './errors.ts'
import type { ChargeMark } from './kernel.ts'
import { MODE, type Outcome, Shape } from './operation.ts'
import type { Cost, Shapes } from './shapes.ts'

/**
 * Capacity taken in advance, to be settled when the real cost is known.
 *
 * `commit` charges what is missing (into a bounded debt if need be) and gives back what was too much, but
 * never capacity that has come back by itself since. Without a commit everything is given back: by
 * `release`, by `await using`, or when the reservation expires. A process that dies leaves its estimate
 * charged.
 */
export interface Reservation<Name extends string = string> extends AsyncDisposable {
  readonly allowed: boolean
  readonly decision: Decision<Name>
  /**
   * Settles at the actual cost; policies not named keep their estimate. Rejects when the store is gone: call it
   * again. After `LIMIT_ERR_TIMEOUT` it may have been done all the same, and is done twice then.
   */
  commit(actual?: Cost<Name>): Promise<void>
  /**
   * Gives everything back. Does nothing after a commit. Rejects when the store is gone; the end of `await using`
   * does not: it is tried again when the reservation expires.
   */
  release(): Promise<void>
}

export interface ReservationParts {
  readonly shapes: Shapes
  readonly shape: Shape
  /** Absent when nothing was charged: denied, or decided without counting. */
  readonly outcome: Outcome | undefined
  readonly run: (shape: Shape) => Promise<unknown>
  /** Calls back when it is to be given back; what it returns takes that back. */
  readonly expire: (release: () => void) => () => void
}

export function reservationOf(decision: Decision, parts: ReservationParts): Reservation {
  const { shapes, shape, outcome, run, expire } = parts
  let charged = decision.allowed ? outcome : undefined
  let settling: Promise<void> | undefined
  const keep = charged ? expire(() => void release().catch(() => {})) : undefined

  function settle(back: Shape | undefined, more: Shape | undefined): Promise<void> {
    settling ??= (async () => {
      try {
        await Promise.all([back, more].map((part) => part && run(part)))
        charged = undefined
        keep?.()
      } finally {
        settling = undefined
      }
    })()
    return settling
  }

  async function commit(actual?: Cost): Promise<void> {
    const { back, more } = shapes.settle(shape, charged ? marksOf(shape, charged) : [], actual)
    if (settling) await settling
    if (charged) await settle(back, more)
  }

  async function release(): Promise<void> {
    if (settling) await settling
    if (charged) await settle(giveBack(shape, charged), undefined)
  }

  const dispose = () =>
    release().catch((error: unknown) => {
      if (!(error instanceof LimitUnavailableError)) throw error
    })
  return { allowed: decision.allowed, decision, commit, release, [Symbol.asyncDispose]: dispose }
}

/** Commits when `counts` says so or throws (a warning then), gives back otherwise. For HTTP adapters. */
export function settleBy(reservation: Reservation, counts: () => boolean): void {
  let charge = true
  try {
    charge = counts()
  } catch (error) {
    process.emitWarning(`countWhen threw: ${error instanceof Error ? error.stack : error}`, {
      type: 'CaysRateLimitWarning',
    })
  }
  // When the store is gone the charge stays: a limit errs on the strict side.
  ;(charge ? reservation.commit() : reservation.release()).catch(() => {})
}

/** What each policy's charge left, in the order of the slots; empty slots were not charged. */
export function marksOf(shape: Shape, outcome: Outcome): ChargeMark[] {
  return shape.slots.map((slot, index) => {
    const { a, c } = outcome.slots[index] ?? { a: 0, c: 0 }
    const drops = outcome.slots[index]?.parameters.y ?? c
    return { at: outcome.now, a, c: drops, cost: slot.cost }
  })
}

/** The refund of everything a granted operation charged, or of the milli-units that are left of it, by slot. */
export function giveBack(shape: Shape, outcome: Outcome, left?: readonly number[]): Shape {
  const marks = marksOf(shape, outcome)
  const slots = shape.slots.flatMap((slot, index) => {
    const found = outcome.slots[index]
    const mark = marks[index]
    // A shadow policy over its limit was not charged.
    const cost = left?.[index] ?? slot.cost
    if (!found || !mark || cost === 0 || (slot.policy.mode === 'shadow' && !found.fits)) return []
    return [{ ...slot, cost, mark }]
  })
  return new Shape(MODE.refund, slots)
}
