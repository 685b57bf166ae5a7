export { createRouter } from './create-router.ts'
export type { Discovery, DiscoveryContext } from './discovery.ts'
export type { DnsOptions } from './dns.ts'
export { dns } from './dns.ts'
export type { DbErrorCode, Outcome, RouterErrorOptions } from './errors.ts'
export {
  DB_ERRORS,
  OutcomeUnknownError,
  RolledBackError,
  RouterError,
  UnavailableError,
  UsageError,
} from './errors.ts'
export type { Middleware, MiddlewareOptions, MiddlewareRequest, MiddlewareResponse } from './express.ts'
export type { HedgedRead, Hedging } from './hedged-read.ts'
export type { ListenOptions, Subscription } from './listener.ts'
export type {
  BookmarkOptions,
  BufferOptions,
  Consistency,
  FallbackOptions,
  FunctionOptions,
  HealthOptions,
  PasswordFor,
  PipelineOptions,
  Route,
  RouterOptions,
  RouterServers,
  RouterSettings,
  Routing,
  ServerAddress,
  ServerOptions,
  WaitOptions,
} from './options.ts'
export type { RoutedQueryConfig, StatementOptions } from './request.ts'
export type {
  Explanation,
  HealthReport,
  Router,
  TransactionClient,
} from './router.ts'
export type { Health, Role } from './server.ts'
export type { ServerReport } from './server-report.ts'
export type { SessionHandle, SessionOptions } from './sessions.ts'
export type { Isolation, TransactionOptions } from './transaction.ts'
