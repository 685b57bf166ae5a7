import { OptionReader } from '@cays/core/options'
import type { ClientRateLimitInfo, Options, Store } from 'express-rate-limit'
import type { Decision } from './decision.ts'
import { LimitConfigError, LimitUnavailableError } from './errors.ts'
import type { RateLimiter } from './rate-limiter.ts'

const LAST_DATE = 8.64e15

/** Which of the limiter's policies the store stands for. */
export interface ExpressRateLimitStoreOptions<Name extends string = string> {
  /** @default the limiter's only policy; with several, the one nearest to its end is reported */
  readonly policy?: Name
}

/**
 * A `Store` for express-rate-limit 7 and 8: that middleware keeps its options and headers, this limiter
 * decides. Give it the `limit` of the policy, as a number; its `windowMs` only shapes headers.
 *
 * Other than with its own stores a denied request costs nothing, and the reset time it reports is when the
 * next request fits.
 *
 * @example
 * ```ts
 * app.use(rateLimit({ limit: 100, windowMs: 60_000, store: expressRateLimitStore(limiter) }))
 * ```
 */
export function expressRateLimitStore<Name extends string>(
  limiter: RateLimiter<Name>,
  options: ExpressRateLimitStoreOptions<NoInfer<Name>> = {},
): Store {
  const reader = new OptionReader(
    'expressRateLimitStore',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, ['policy'])
  if (typeof limiter?.check !== 'function') reader.fail('the first argument must be a rate limiter')
  const policies = options.policy === undefined ? undefined : [options.policy]
  let limit = 1

  function infoOf(decision: Decision, charged: number): ClientRateLimitInfo {
    const wait = decision.allowed ? resetOf(decision) : decision.retryAfter
    const resetTime = Number.isFinite(wait) ? new Date(Math.min(LAST_DATE, Date.now() + wait)) : undefined
    const totalHits = decision.allowed
      ? Math.min(limit, Math.max(charged, usedOf(decision, limit)))
      : limit + 1
    return { totalHits, resetTime }
  }

  return {
    localKeys: false,
    init(given: Options) {
      if (typeof given.limit !== 'number' || given.limit < 1) {
        return reader.fail(
          'express-rate-limit needs `limit` as a number, that of the policy; sizes by user are `plans` of the limiter',
        )
      }
      limit = given.limit
    },
    increment: async (key) => infoOf(await limiter.check(key, { policies }), 1),
    get: async (key) => infoOf(await limiter.peek(key, { policies, cost: 0 as never }), 0),
    // Version 7 of the middleware does not catch: what cannot be given back stays charged.
    decrement: (key) => limiter.refund(key, 1, { policies }).catch(unlessUnavailable),
    resetKey: (key) => limiter.reset(key, { policies }),
  }
}

function unlessUnavailable(error: unknown): void {
  if (!(error instanceof LimitUnavailableError)) throw error
}

// Units in use of the policy that has the smallest part left, scaled to what the middleware counts with.
function usedOf(decision: Decision, limit: number): number {
  const parts = Object.values(decision.policies).map((policy) =>
    policy ? (policy.capacity - policy.remaining) / policy.capacity : 0,
  )
  return Math.ceil(limit * Math.max(0, ...parts))
}

function resetOf(decision: Decision): number {
  return Math.max(0, ...Object.values(decision.policies).map((policy) => policy?.resetAfter ?? 0))
}
