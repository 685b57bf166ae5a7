/**
 * The numbers an algorithm keeps per subject. What they mean is each kernel's own business; all are whole
 * numbers below 2^53, so that JavaScript and the Lua script (both IEEE doubles) compute the same values.
 * Times are microseconds since the epoch, amounts thousandths of a unit ("milli"). Of a subject nobody has seen
 * all are 0.
 */
export interface State {
  a: number
  b: number
  c: number
  /** Sliding log only, in order of time. */
  entries?: LogEntry[]
}

export interface LogEntry {
  readonly at: number
  readonly cost: number
}

/** The numbers a limit comes down to; `x`, `y` and `z` differ by kernel. */
export interface Parameters {
  /** Most milli-units that can be in use at once. */
  readonly cap: number
  readonly x: number
  readonly y: number
  readonly z: number
}

/** What a charge left behind, so that it can be given back exactly later. */
export interface ChargeMark {
  readonly at: number
  readonly a: number
  readonly c: number
  readonly cost: number
}

/**
 * One algorithm as pure arithmetic on {@link State}. The Lua script mirrors `refresh`, `fits`, `charge`,
 * `refund` and `timeToFull`; the tests hold both against an independent model.
 *
 * A state from the future (the clock went back) is moved to now: it never grants anything by itself.
 */
export interface Kernel {
  /** How the script knows it. */
  readonly code: number
  /** How many numbers of the state the script answers with. */
  readonly arity: number
  /** Whether capacity can be reserved ahead of time. */
  readonly paced: boolean
  /**
   * Brings the state to `now`; `windows` are the calendar's boundaries, for quotas only. Answers whether it is to
   * be kept even if nothing is charged: the clock was set back, or entries of a log are gone.
   */
  refresh(state: State, now: number, limit: Parameters, windows: readonly number[]): boolean
  /** Microseconds until `cost` fits a refreshed state: 0 now, Infinity never. */
  wait(state: State, now: number, cost: number, limit: Parameters, windows: readonly number[]): number
  /** Adds `cost` whether it fits or not, but never more than the debt bound allows. */
  charge(state: State, now: number, cost: number, limit: Parameters): void
  /** Gives `cost` back; with a mark, no more than what that charge still holds of the capacity. */
  refund(state: State, now: number, cost: number, limit: Parameters, mark?: ChargeMark): void
  /** Microseconds until nothing is in use any more, if nothing else is charged. */
  timeToFull(state: State, now: number, limit: Parameters, windows: readonly number[]): number
  /** When all that was charged now comes back at once; Infinity when it comes back bit by bit. */
  ends(state: State, limit: Parameters, windows: readonly number[]): number
  /** Milli-units in use. */
  used(state: State, now: number, limit: Parameters): number
  /** Milli-units per window that the parameters stand for. */
  limitOf(limit: Parameters, window: number): number
}

/** Penalties and settlements may go into debt up to this many times the capacity (quotas: 3), and no further. */
export const DEBT = 10
