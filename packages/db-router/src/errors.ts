import { CaysError, type ErrorTable } from '@cays/core/error'

/** Every code this package throws. */
export const DB_ERRORS = {
  DB_ERR_OPTIONS: {
    meaning:
      'An option is missing, unknown or out of range. Fix the call; the message names the option and what it accepts.',
    retryable: false,
  },
  DB_ERR_USAGE: {
    meaning:
      'A call that cannot work on a pool or a finished client, such as BEGIN through `query`. Use `connect()` or `transaction()`; the message says which.',
    retryable: false,
  },
  DB_ERR_CLOSED: {
    meaning: 'The router was closed before the statement started. Create a new router.',
    retryable: false,
  },
  DB_ERR_NO_PRIMARY: {
    meaning:
      'No server accepted writes within the buffer window. The statement did not start; try again when a primary is back.',
    retryable: true,
  },
  DB_ERR_BUFFER_FULL: {
    meaning:
      'No primary is known and the buffer of waiting statements is full. The statement did not start; try again later.',
    retryable: true,
  },
  DB_ERR_NO_REPLICA: {
    meaning:
      'The statement may only run on a replica and none is eligible. It did not start; allow the primary or try again later.',
    retryable: true,
  },
  DB_ERR_NOT_CAUGHT_UP: {
    meaning:
      'No replica reached the position the session has to see within the wait budget, and falling back to the primary is off.',
    retryable: true,
  },
  DB_ERR_FALLBACK_SHED: {
    meaning:
      'Reads fell back to the primary beyond its configured share, and the read would have waited too long for its turn. It did not start; shed load or try again later.',
    retryable: true,
  },
  DB_ERR_UNAVAILABLE: {
    meaning:
      'The server could not be reached or gave no connection in time. The statement did not start; try again later.',
    retryable: true,
  },
  DB_ERR_TIMEOUT: {
    meaning:
      'The statement ran out of the time the caller allowed and was cancelled on the server; it had no effect.',
    retryable: true,
  },
  DB_ERR_CONNECTION_LOST: {
    meaning:
      'The connection broke while the statement ran. It had no lasting effect: it was a read, or its transaction rolled back.',
    retryable: true,
  },
  DB_ERR_OUTCOME_UNKNOWN: {
    meaning:
      'The connection broke after a write or COMMIT was sent and before its answer came. It may or may not have happened: look before you repeat it.',
    retryable: false,
  },
  DB_ERR_TRANSACTION_ABORTED: {
    meaning:
      'COMMIT answered ROLLBACK, because an earlier statement of the transaction failed and its error was ignored. Nothing was written.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** A code of {@link DB_ERRORS}. */
export type DbErrorCode = keyof typeof DB_ERRORS

/**
 * What happened to the statement on the server.
 *
 * - `not-executed`: it never started. Repeating it is safe.
 * - `rolled-back`: it started and left no effect. Repeating it (its whole transaction, if it was in one) is safe.
 * - `unknown`: it may have happened. Repeating it may do it twice.
 */
export type Outcome = 'not-executed' | 'rolled-back' | 'unknown'

/** What an error says besides its code. */
export interface RouterErrorOptions {
  readonly cause?: unknown
  readonly outcome?: Outcome
  /** `host:port` of the server involved, when one was. */
  readonly host?: string | undefined
  /** Servers tried before giving up. */
  readonly attempts?: number
}

/** Base of what the router itself throws. Errors of the server come through as `pg`'s own, with `outcome` added. */
export class RouterError extends CaysError<DbErrorCode> {
  static override readonly id: string = 'db-router.RouterError'
  readonly outcome: Outcome
  readonly host: string | undefined
  readonly attempts: number

  constructor(code: DbErrorCode, message: string, options: RouterErrorOptions = {}) {
    super(code, message, {
      retryable: DB_ERRORS[code].retryable,
      ...('cause' in options ? { cause: options.cause } : {}),
    })
    this.outcome = options.outcome ?? 'not-executed'
    this.host = options.host
    this.attempts = options.attempts ?? 0
  }
}

/** A mistake in the code that calls the router: fix it, do not catch it. */
export class UsageError extends RouterError {
  static override readonly id: string = 'db-router.UsageError'
}

/** The statement did not start because nothing could take it; try again later or shed load. */
export class UnavailableError extends RouterError {
  static override readonly id: string = 'db-router.UnavailableError'
}

/** The statement or its transaction left no effect; running the whole unit again is safe. */
export class RolledBackError extends RouterError {
  static override readonly id: string = 'db-router.RolledBackError'
}

/** A write whose answer was lost. Never repeated by the router; find out before you do. */
export class OutcomeUnknownError extends RouterError {
  static override readonly id: string = 'db-router.OutcomeUnknownError'
}

/** A read, or something else without effect, whose answer was lost on every server tried. */
export function lostRead(cause: unknown, host: string, attempts: number): RolledBackError {
  return new RolledBackError(
    'DB_ERR_CONNECTION_LOST',
    'the connection broke during a read and no other server could answer it; it had no effect, try again',
    { cause, outcome: 'rolled-back', host, attempts },
  )
}

/** A write or COMMIT whose answer was lost. */
export function unknownOutcome(cause: unknown, host: string, attempts: number): OutcomeUnknownError {
  return new OutcomeUnknownError(
    'DB_ERR_OUTCOME_UNKNOWN',
    'the connection broke before the server answered; the write may or may not have happened, look before you repeat it',
    { cause, outcome: 'unknown', host, attempts },
  )
}
