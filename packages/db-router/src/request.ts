import { deadline } from '@cays/core/abort'
import type { Duration } from '@cays/core/duration'
import type { OptionReader } from '@cays/core/options'
import type { QueryConfig } from 'pg'
import { RolledBackError, UsageError } from './errors.ts'
import type { Hedging } from './hedged-read.ts'
import type { Consistency, Route } from './options.ts'
import { CONSISTENCIES, readHedge, readSignal, type Settings } from './settings.ts'

/** What one call may say about its statement; `pg` ignores these fields. */
export interface StatementOptions {
  /** Where it runs. @default 'auto' */
  readonly route?: Route
  /** How fresh a read has to be. @default the router's */
  readonly consistency?: Consistency
  /** For `bounded` reads: how stale the answer may be. @default the router's */
  readonly maxStaleness?: Duration
  /** True: may be sent again when the answer was lost. False: never sent twice, even a read. */
  readonly idempotent?: boolean
  /** Whether a read whose server is late is sent to another replica as well; false for never. @default the router's */
  readonly hedge?: Hedging | false
  /** Aborting cancels the statement on the server. */
  readonly signal?: AbortSignal
  /** Cancels the statement on the server after this time. */
  readonly timeout?: Duration
}

/** A query as `pg` takes it, with where and how it runs. */
export interface RoutedQueryConfig<I = unknown[]> extends QueryConfig<I>, StatementOptions {}

/** One statement, ready to be sent. */
export interface Request {
  readonly config: string | Readonly<Record<string, unknown>>
  readonly values: readonly unknown[] | undefined
  /** `undefined` for a query object whose text cannot be seen. */
  readonly text: string | undefined
  readonly route: Route
  readonly consistency: Consistency
  readonly maxStaleness: number
  readonly idempotent: boolean | undefined
  readonly hedge: Hedging | undefined
  readonly signal: AbortSignal | undefined
  readonly timeout: number | undefined
}

const OWN = new Set(['route', 'consistency', 'maxStaleness', 'idempotent', 'hedge', 'signal', 'timeout'])

/** Reads what was passed to `query`, and refuses options that make no sense. */
export function readRequest(
  given: string | Readonly<Record<string, unknown>>,
  values: readonly unknown[] | undefined,
  settings: Settings,
  fixed: Route,
  read: OptionReader,
): Request {
  const route = fixed === 'auto' && settings.routing === 'explicit' ? 'primary' : fixed
  if (typeof given === 'string') {
    return {
      config: given,
      values,
      text: given,
      route,
      consistency: settings.consistency,
      maxStaleness: settings.maxStaleness,
      idempotent: undefined,
      hedge: settings.hedge,
      signal: undefined,
      timeout: undefined,
    }
  }
  const options = given as StatementOptions
  const { text } = given
  if (typeof text !== 'string' && typeof given.name !== 'string') {
    throw new UsageError('DB_ERR_USAGE', 'query: the query object has no text')
  }
  const plain = typeof text === 'string' && isPlain(given, settings.pooler !== undefined)
  return {
    config: plain ? text : given,
    values: plain ? (values ?? (given.values as readonly unknown[] | undefined)) : values,
    text: typeof text === 'string' ? text : undefined,
    route:
      options.route === undefined
        ? route
        : read.oneOf('route', options.route, route, ['auto', 'primary', 'replica']),
    consistency: read.oneOf('consistency', options.consistency, settings.consistency, CONSISTENCIES),
    maxStaleness: read.duration('maxStaleness', options.maxStaleness, settings.maxStaleness),
    idempotent:
      options.idempotent === undefined ? undefined : read.boolean('idempotent', options.idempotent, false),
    hedge: options.hedge === false ? undefined : (readHedge(read, options.hedge) ?? settings.hedge),
    signal: readSignal(read, options.signal),
    timeout:
      options.timeout === undefined ? undefined : read.duration('timeout', options.timeout, 0, { min: 1 }),
  }
}

/**
 * True when text and values are all that `pg` would use: it copies other query objects at some cost. Behind a pooler
 * nothing is prepared, so the name counts for nothing.
 */
function isPlain(given: Readonly<Record<string, unknown>>, pooler: boolean): boolean {
  for (const name in given) {
    if (name !== 'text' && name !== 'values' && !OWN.has(name) && !(pooler && name === 'name')) return false
  }
  return true
}

/** Runs a request with its timeout, if it has one, as part of its signal. */
export async function withTimeout<T>(request: Request, run: (request: Request) => Promise<T>): Promise<T> {
  const { timeout } = request
  if (timeout === undefined) return await run(request)
  using limit = deadline(
    timeout,
    () =>
      new RolledBackError(
        'DB_ERR_TIMEOUT',
        `the statement did not finish within ${timeout} ms and was cancelled; it had no effect`,
        { outcome: 'rolled-back' },
      ),
    request.signal,
  )
  return await run({ ...request, signal: limit.signal })
}
