import pg, {
  type PoolClient,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfigValues,
  type QueryResult,
  type QueryResultRow,
  type Submittable,
} from 'pg'
import { UsageError } from './errors.ts'
import type { Route } from './options.ts'
import type { RoutedQueryConfig } from './request.ts'
import { isSubmittable } from './router-client.ts'

/** What a routed pool needs from the router behind it. */
export interface PoolBackend {
  run(
    given: string | Readonly<Record<string, unknown>>,
    values: readonly unknown[] | undefined,
    route: Route,
  ): Promise<QueryResult>
  submit(query: Submittable, route: Route): Submittable
  connect(route: Route): Promise<PoolClient>
  end(): Promise<void>
  counts(): {
    readonly total: number
    readonly idle: number
    readonly waiting: number
    readonly expired: number
  }
  readonly options: pg.PoolConfig
}

const FOREIGN = Symbol('cays.foreign')

function refuseForeignCopy(): never {
  throw new UsageError(
    'DB_ERR_USAGE',
    'the router was copied as if it were options: a second copy of pg is installed (npm ls pg); keep one, with overrides if need be',
  )
}

type Callback = (error: Error, result: QueryResult) => void

/**
 * A `pg.Pool` in every respect that callers can see, without connections of its own: each statement goes
 * through the router to the pool of one server.
 */
export class RoutedPool extends pg.Pool {
  readonly #backend: PoolBackend
  readonly #route: Route

  constructor(backend: PoolBackend, route: Route) {
    super(backend.options)
    this.#backend = backend
    this.#route = route
    // pg-pool sets its own fields by assignment, so the accessors must win over the prototype's getters.
    const counts = () => backend.counts()
    Object.defineProperties(this, {
      totalCount: { get: () => counts().total },
      idleCount: { get: () => counts().idle },
      waitingCount: { get: () => counts().waiting },
      expiredCount: { get: () => counts().expired },
      // Code that holds another copy of `pg` does not know a pool when it sees one: it takes it for options,
      // copies them, and opens connections of its own. This is what it finds then.
      [FOREIGN]: { enumerable: true, get: () => refuseForeignCopy() },
    })
  }

  /** Runs a query object, such as a stream, on one server and gives it back; never repeated. */
  override query<T extends Submittable>(queryStream: T): T
  /** Runs a statement and gives its rows as arrays. */
  override query<R extends unknown[] = QueryResultRow[string], I = unknown[]>(
    queryConfig: QueryArrayConfig<I>,
    values?: QueryConfigValues<I>,
  ): Promise<QueryArrayResult<R>>
  /** Runs a statement where it may run, see `createRouter`; rejects with an error that has an `outcome`. */
  override query<R extends QueryResultRow = QueryResultRow, I = unknown[]>(
    queryTextOrConfig: string | RoutedQueryConfig<I>,
    values?: QueryConfigValues<I>,
  ): Promise<QueryResult<R>>
  /** The same with a callback. */
  override query<R extends unknown[] = QueryResultRow[string], I = unknown[]>(
    queryConfig: QueryArrayConfig<I>,
    callback: (error: Error, result: QueryArrayResult<R>) => void,
  ): void
  /** The same with a callback. */
  override query<R extends QueryResultRow = QueryResultRow, I = unknown[]>(
    queryTextOrConfig: string | RoutedQueryConfig<I>,
    callback: (error: Error, result: QueryResult<R>) => void,
  ): void
  /** The same with a callback. */
  override query<R extends QueryResultRow = QueryResultRow, I = unknown[]>(
    queryText: string,
    values: QueryConfigValues<I>,
    callback: (error: Error, result: QueryResult<R>) => void,
  ): void
  override query(given: string | object, second?: readonly unknown[] | Callback, third?: Callback): unknown {
    if (isSubmittable(given)) return this.#backend.submit(given as Submittable, this.#route)
    const callback = typeof second === 'function' ? second : third
    const values = typeof second === 'function' ? undefined : second
    const promise = this.#backend.run(given as string, values, this.#route)
    if (typeof callback !== 'function') return promise
    promise.then(
      (result) => callback(undefined as unknown as Error, result),
      (error: Error) => callback(error, undefined as unknown as QueryResult),
    )
    return undefined
  }

  /**
   * A client of no server yet: statements are routed one by one until one needs a connection of its own (BEGIN, session
   * state). From there everything runs on that connection, until `release()`.
   */
  override connect(): Promise<PoolClient>
  /** The same with a callback. */
  override connect(
    callback: (
      error: Error | undefined,
      client: PoolClient | undefined,
      done: (release?: unknown) => void,
    ) => void,
  ): void
  override connect(
    callback?: (
      error: Error | undefined,
      client: PoolClient | undefined,
      done: (release?: unknown) => void,
    ) => void,
  ): unknown {
    const connecting = this.#backend.connect(this.#route)
    if (!callback) return connecting
    connecting.then(
      (client) => callback(undefined, client, (error) => client.release(error as Error)),
      (error: Error) => callback(error, undefined, () => {}),
    )
    return undefined
  }

  /** Closes the whole router, as `close()` does. */
  override end(): Promise<void>
  /** The same with a callback. */
  override end(callback: () => void): void
  override end(callback?: () => void): unknown {
    const ending = this.#backend.end()
    if (!callback) return ending
    ending.then(callback, callback)
    return undefined
  }
}
