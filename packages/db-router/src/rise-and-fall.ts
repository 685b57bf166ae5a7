import type { Settings } from './settings.ts'

/** How long a server where statements fail is left, the first time and at most, in milliseconds. */
const HOLD = { first: 5_000, longest: 120_000 }
/** Statements that break within so many milliseconds are one failure. */
const AT_ONCE = 100

/**
 * Counts how the probes and statements of one server end: it falls after some failures in a row and rises after some
 * successes, so that one that comes and goes is left alone. Times are `performance.now()`.
 */
export class RiseAndFall {
  readonly #rise: number
  readonly #fall: number
  #good = 0
  #bad = 0
  #failedAt = Number.NEGATIVE_INFINITY
  /** However good its probes, it is not used before: statements failed there. */
  #heldUntil = Number.NEGATIVE_INFINITY
  #held = 0

  constructor({ rise, fall }: Pick<Settings['health'], 'rise' | 'fall'>) {
    this.#rise = rise
    this.#fall = fall
  }

  /** A probe was answered. */
  answered(): void {
    this.#bad = 0
    this.#good++
  }

  /** A probe failed. */
  missed(): void {
    this.#good = 0
    this.#bad++
  }

  /** It is certainly down, whatever the probes said. */
  fell(): void {
    this.#good = 0
    this.#bad = this.#fall
  }

  /** So many probes failed in a row that it counts as down. */
  get fallen(): boolean {
    return this.#bad >= this.#fall
  }

  /** So many were answered in a row that it may be used again. */
  mayRise(now: number): boolean {
    return this.#good >= this.#rise && now >= this.#heldUntil
  }

  /** A statement failed there for a reason of the server's own. False when that belongs to the failure before. */
  failed(now: number): boolean {
    if (now - this.#failedAt < AT_ONCE) return false
    this.#failedAt = now
    return true
  }

  /** It is left for a while, the longer the sooner that happens again. */
  hold(now: number): void {
    const again = now - this.#heldUntil < HOLD.longest
    this.#held = again ? Math.min(this.#held * 2, HOLD.longest) : HOLD.first
    this.#heldUntil = now + this.#held
    this.#good = 0
  }
}
