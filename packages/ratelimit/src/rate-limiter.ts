import type { Duration } from '@cays/core/duration'
import type { EventSource } from '@cays/core/events'
import type { Closeable } from '@cays/core/lifecycle'
import type { Decision } from './decision.ts'
import type { LimitError, LimitErrorCode } from './errors.ts'
import type { Offender } from './offenders.ts'
import type { PolicySize } from './policy.ts'
import type { Reservation } from './reservation.ts'
import type { Charge, Cost } from './shapes.ts'

/** What one decision costs and counts against. */
export interface CheckOptions<Name extends string = string> extends Charge<Name> {
  /**
   * Ends the wait for the answer. What was sent is decided all the same: `check` may have charged, `reserve` and
   * `acquire` give back.
   */
  readonly signal?: AbortSignal | undefined
}

/** How long a call may wait for its turn. */
export interface AcquireOptions<Name extends string = string> extends CheckOptions<Name> {
  /** Longest wait for a slot; a longer one is denied at once and charges nothing. @default '30s' */
  readonly maxWait?: Duration
}

/** What is set aside, and for how long. */
export interface ReserveOptions<Name extends string = string> extends CheckOptions<Name> {
  /** Given back when neither committed nor released for so long. @default '5m' */
  readonly expires?: Duration
}

/** Which policies a change is about. */
export interface ChangeOptions<Name extends string = string> {
  /** @default all policies */
  readonly policies?: readonly Name[] | undefined
  readonly signal?: AbortSignal | undefined
}

/** What `on` reports. */
export type LimiterEvents = {
  /** A decision that denied; `decision.policies` tells the numbers. */
  readonly denied: { readonly subject: string; readonly decision: Decision }
  /** Redis failed a call; decisions follow `onError` meanwhile. */
  readonly error: LimitError
}

/** The state of one limiter. */
export interface LimiterHealth {
  readonly status: 'ok' | 'degraded' | 'closed'
  readonly store: 'redis' | 'memory'
  /** Processes that share the limits, this one included, as far as known. */
  readonly nodes: number
  /** Of the last failure, while degraded. */
  readonly lastError: LimitErrorCode | undefined
}

/**
 * Limits shared by every process that uses the same Redis and prefix.
 *
 * A decision is atomic: all of its policies are charged or none, and a denial charges nothing. It is exact:
 * Redis' clock and one script decide, whatever the number of processes. `check` never rejects because Redis
 * failed (see `onError`); it rejects for wrong arguments, an aborted signal, and after `close()`.
 */
export interface RateLimiter<Name extends string = string> extends Closeable, EventSource<LimiterEvents> {
  /** Charges the cost if every enforced policy has room for it. */
  check(subject: string, options?: CheckOptions<Name>): Promise<Decision<Name>>
  /** Several checks, each decided on its own, in order, in as few round trips as one; none if one of them is wrong. */
  checkMany(
    requests: readonly ({ readonly subject: string } & CheckOptions<Name>)[],
  ): Promise<readonly Decision<Name>[]>
  /** What `check` would answer, without charging. */
  peek(subject: string, options?: CheckOptions<Name>): Promise<Decision<Name>>
  /** Charges an estimate now, to be settled at the actual cost later. */
  reserve(subject: string, options?: ReserveOptions<Name>): Promise<Reservation<Name>>
  /**
   * Waits for capacity: takes the next free slot, first come first served across all processes, and resolves
   * when it begins. No polling; an abort gives the slot back. Not for sliding windows.
   */
  acquire(subject: string, options?: AcquireOptions<Name>): Promise<Decision<Name>>
  /** Gives units back, at most what is in use. Rejects when Redis is gone, like all that follow. */
  refund(subject: string, cost?: Cost<Name>, options?: ChangeOptions<Name>): Promise<void>
  /** Charges units whether they fit or not; the debt ends at ten times the capacity (quotas: three). */
  penalty(subject: string, cost?: Cost<Name>, options?: ChangeOptions<Name>): Promise<void>
  /** Denies everything for a while; a length of 0 lifts the block. */
  block(subject: string, length: Duration, options?: ChangeOptions<Name>): Promise<void>
  /** Forgets what was used and lifts blocks; a limit set by `setLimit` stays. */
  reset(subject: string, options?: ChangeOptions<Name>): Promise<void>
  /** Gives one subject a limit of its own (what it used stays used); `undefined` takes it away. */
  setLimit(
    subject: string,
    policy: Name,
    size: PolicySize | undefined,
    options?: {
      /** The limit is forgotten then. @default '30d' */
      readonly expires?: Duration
      readonly signal?: AbortSignal | undefined
    },
  ): Promise<void>
  /** The subjects this process denied most, with `topOffenders` on; most denied first. */
  offenders(): readonly Offender[]
  /** The state of the limiter; answers from memory, without asking Redis. */
  health(): LimiterHealth
  /** Waits for decisions under way, ends waits for slots. Redis itself stays open: it is the app's. */
  close(): Promise<void>
}
