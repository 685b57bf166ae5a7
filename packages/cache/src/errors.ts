import { CaysError, type CaysErrorOptions, type ErrorTable } from '@cays/core/error'

/** Every code this package can throw. `docs/errors.md` is generated from it. */
export const CACHE_ERRORS = {
  CACHE_ERR_OPTION: {
    meaning:
      'An option of createCache, of a call, of define, memoize or a decorator is unknown or out of range. Fix the code that sets it.',
    retryable: false,
  },
  CACHE_ERR_KEY: {
    meaning:
      'A key is not a string, or an argument it is built from has no injective form (a function, a symbol, a class instance). Pass a `key` function that returns plain data.',
    retryable: false,
  },
  CACHE_ERR_VALUE: {
    meaning:
      'A value cannot keep its type in Redis (a function, a symbol, a class instance, a cycle). Return plain data, Date, Map, Set, BigInt, Error or binary types from the loader.',
    retryable: false,
  },
  CACHE_ERR_TOO_LARGE: {
    meaning:
      'A session, or a value set with `mustFit`, is larger than `l2.maxEntryBytes`. Nothing was changed: the value before still stands. Keep less in it, or raise the limit.',
    retryable: false,
  },
  CACHE_ERR_LOAD_TIMEOUT: {
    meaning:
      'The loader, or the process that held the lease on the key, did not finish within `timeout`. Make the loader honour `ctx.signal`, raise `timeout`, or set `grace` so that an older value is served.',
    retryable: true,
  },
  CACHE_ERR_LOAD_BACKOFF: {
    meaning:
      'The loader failed a moment ago in another process and the key is in its back-off window, `errorBackoff`. Look for the failure there; call again after the window.',
    retryable: true,
  },
  CACHE_ERR_SCHEMA: {
    meaning:
      'The loader returned a value that does not fit `schema`; the message names the properties. Fix the loader or the schema. Values in Redis that do not fit are loaded anew instead.',
    retryable: false,
  },
  CACHE_ERR_REDIS: {
    meaning:
      'Redis did not answer in time, is not connected or refused a command. Calls never reject with it: it is the payload of the `redis-down` event and of `health()`.',
    retryable: true,
  },
  CACHE_ERR_CLOSED: {
    meaning: 'The cache was closed. Create a new one, or close it after the last call.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** Codes of {@link CACHE_ERRORS}. */
export type CacheErrorCode = keyof typeof CACHE_ERRORS

/** Base of this package's errors: branch on `code`. */
export class CacheError extends CaysError<CacheErrorCode> {
  static override readonly id: string = 'cache.CacheError'

  constructor(code: CacheErrorCode, message: string, options: CaysErrorOptions = {}) {
    super(code, message, { retryable: CACHE_ERRORS[code].retryable, ...options })
  }
}

/** The program is wrong: an option, a key or a value that can never work. Not retryable. */
export class CacheUsageError extends CacheError {
  static override readonly id: string = 'cache.CacheUsageError'
}

/** The value could not be loaded in time or is in its back-off window. Try later. */
export class CacheLoadError extends CacheError {
  static override readonly id: string = 'cache.CacheLoadError'
}
