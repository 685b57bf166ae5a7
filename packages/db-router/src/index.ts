export { createRouter } from './create-router.ts'
export type { DbErrorCode, Outcome } from './errors.ts'
export {
  DB_ERRORS,
  OutcomeUnknownError,
  RolledBackError,
  RouterError,
  UnavailableError,
  UsageError,
} from './errors.ts'
export type { Middleware, MiddlewareOptions } from './express.ts'
export type { Consistency, Route, RouterOptions } from './options.ts'
export type { RoutedQueryConfig, StatementOptions } from './request.ts'
export type {
  Explanation,
  HealthReport,
  Router,
  ServerReport,
  SessionHandle,
  SessionOptions,
  TransactionClient,
} from './router.ts'
export type { Isolation, TransactionOptions } from './transaction.ts'
