import { CaysError, type CaysErrorOptions, type ErrorTable } from '@cays/core/error'

/** Every code that this package throws. */
export const LIMIT_ERRORS = {
  LIMIT_ERR_BAD_OPTION: {
    meaning: 'An option is unknown or has a value it cannot have. The message names it and what it accepts.',
    retryable: false,
  },
  LIMIT_ERR_BAD_ARGUMENT: {
    meaning:
      'A call was given a subject, cost, policy or plan it cannot use. The message names it and what it accepts.',
    retryable: false,
  },
  LIMIT_ERR_CLOSED: {
    meaning: 'The limiter was closed. Close it after the last request, not before.',
    retryable: false,
  },
  LIMIT_ERR_UNAVAILABLE: {
    meaning:
      'Redis could not answer: it is unreachable, failing over, or its connection is down. Decisions follow ' +
      '`onError`; changes such as a refund or a reset reject with this error and can be tried again.',
    retryable: true,
  },
  LIMIT_ERR_TIMEOUT: {
    meaning:
      'Redis did not answer within `timeout`. The call may still run there, so it is not sent again; ' +
      'decisions follow `onError`.',
    retryable: true,
  },
  LIMIT_ERR_SCRIPTING_DENIED: {
    meaning:
      'The Redis user may not run scripts or one of the commands in them. Allow the commands the README lists; ' +
      'until then decisions follow `onError`.',
    retryable: false,
  },
  LIMIT_ERR_ABANDONED: {
    meaning: 'The wait for a slot ended because the limiter was closed while it lasted.',
    retryable: false,
  },
  LIMIT_ERR_NOT_PACED: {
    meaning:
      '`acquire` reserves future capacity, which sliding windows do not have. Use gcra, tokenBucket, ' +
      'fixedWindow or quota for the policies of a paced call.',
    retryable: false,
  },
  LIMIT_ERR_PROXY: {
    meaning:
      'Express trusts every proxy (`trust proxy` is true), so a client writes its own address and escapes ' +
      'limits by address. Set it to the number or the addresses of your proxies.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** A code of {@link LIMIT_ERRORS}. */
export type LimitErrorCode = keyof typeof LIMIT_ERRORS

/** Base of every error this package throws; branch on `code`. A denial is never an error. */
export class LimitError extends CaysError<LimitErrorCode> {
  static override readonly id: string = 'ratelimit.LimitError'

  constructor(code: LimitErrorCode, message: string, options: CaysErrorOptions = {}) {
    super(code, message, { retryable: LIMIT_ERRORS[code].retryable, ...options })
  }
}

/** The code that calls is wrong: an option or an argument. Fix it; trying again cannot help. */
export class LimitConfigError extends LimitError {
  static override readonly id: string = 'ratelimit.LimitConfigError'
}

/** The store could not do what was asked. The limiter goes on by itself once the store is back. */
export class LimitUnavailableError extends LimitError {
  static override readonly id: string = 'ratelimit.LimitUnavailableError'
}
