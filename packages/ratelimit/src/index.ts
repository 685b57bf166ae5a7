export type {
  AdaptiveConcurrency,
  AdaptiveConcurrencyOptions,
  AdaptiveSlot,
} from './adaptive-concurrency.ts'
export { adaptiveConcurrency } from './adaptive-concurrency.ts'
export type { GcraOptions, QuotaOptions, TokenBucketOptions, WindowOptions } from './algorithms.ts'
export {
  fixedWindow,
  gcra,
  quota,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from './algorithms.ts'
export type { CalendarPeriod } from './calendar.ts'
export type { ConcurrencyOptions } from './concurrency.ts'
export { concurrency } from './concurrency.ts'
export { createRateLimiter } from './create-rate-limiter.ts'
export type { Decision, DecisionSource, DenialReason, PolicyDecision } from './decision.ts'
export type { LimitErrorCode } from './errors.ts'
export { LIMIT_ERRORS, LimitConfigError, LimitError, LimitUnavailableError } from './errors.ts'
export type { MessageLimiter, MessageLimiterOptions } from './message-limiter.ts'
export { messageLimiter } from './message-limiter.ts'
export type { Offender } from './offenders.ts'
export type { DenyCacheSettings, LeaseSettings, RateLimiterOptions } from './options.ts'
export type { Algorithm, FailureMode, Policy, PolicySize } from './policy.ts'
export type {
  AcquireOptions,
  ChangeOptions,
  CheckOptions,
  LimiterEvents,
  LimiterHealth,
  RateLimiter,
  ReserveOptions,
} from './rate-limiter.ts'
export type { RedisClient } from './redis-client.ts'
export type { Reservation } from './reservation.ts'
export type { ConcurrencyLimiter, EnterOptions, Slot } from './semaphore.ts'
export type { Cost } from './shapes.ts'
