import { messageOf } from '@cays/core/error'
import { Lifecycle } from '@cays/core/lifecycle'
import type pg from 'pg'
import type { PoolClient, QueryResult, Submittable } from 'pg'
import type { ConnectionPool, PoolReport } from './connection-pool.ts'
import type { Discovery } from './discovery.ts'
import { Dispatcher } from './dispatcher.ts'
import { UnavailableError, UsageError } from './errors.ts'
import { type Middleware, type MiddlewareOptions, sessionMiddleware } from './express.ts'
import { CATALOG_QUERY, type CatalogRow, FunctionCatalog } from './function-catalog.ts'
import { Listener, type ListenOptions, type Subscription } from './listener.ts'
import { formatLsn } from './lsn.ts'
import type { Route, RouterOptions } from './options.ts'
import { Paces } from './pace.ts'
import { Placement } from './placement.ts'
import { submitQueryObject } from './query-object.ts'
import { type Request, readRequest, withTimeout } from './request.ts'
import { type PoolBackend, RoutedPool } from './routed-pool.ts'
import { RouterClient } from './router-client.ts'
import { Search } from './search.ts'
import type { Server } from './server.ts'
import { reportOf, type ServerReport } from './server-report.ts'
import { Session } from './session.ts'
import { type SessionHandle, type SessionOptions, Sessions } from './sessions.ts'
import { optionReader, readServers, readSignal, resolveOptions, type Settings } from './settings.ts'
import { StatementCache } from './statement-cache.ts'
import { addressOf, SERVER_CHANNEL, STALENESS_CHANNEL } from './telemetry.ts'
import { Topology } from './topology.ts'
import { planTransaction, runTransaction, type TransactionOptions } from './transaction.ts'

/** How the whole is, for a readiness check. */
export interface HealthReport {
  /** `up`: writes and reads from replicas. `degraded`: something is missing. `down`: no server answers. */
  readonly status: 'up' | 'degraded' | 'down'
  readonly writable: boolean
  readonly servers: readonly ServerReport[]
  /** Statements waiting for a primary. */
  readonly buffered: number
  /** Reads on the primary for want of a replica, and those waiting for their turn. */
  readonly fallback: { readonly running: number; readonly waiting: number }
}

/** What the router would do with a text now. */
export interface Explanation {
  readonly route: 'primary' | 'replica'
  readonly kind: string
  readonly reason: string
  /** Functions that keep it on the primary until the database says they only read. */
  readonly unknownFunctions: readonly string[]
  /** Replicas that could take it at once, as `host:port`; without any it waits for one, or runs on the primary. */
  readonly replicas: readonly string[]
  /**
   * What they must have replayed to show what the session has seen, as Postgres writes it: `'unknown'` until the primary
   * has been asked, `undefined` when any will do.
   */
  readonly position: string | undefined
}

/** Inside `transaction`: one connection, all statements between BEGIN and COMMIT. */
export type TransactionClient = Pick<PoolClient, 'query'>

/** Of names in Postgres, in bytes. */
const LONGEST_NAME = 63

const QUERY_OPTIONS = optionReader('query')

function warnOfListener(of: string, error: unknown): void {
  process.emitWarning(`a listener of ${of} threw: ${messageOf(error)}`, { type: 'CaysListenerError' })
}

/** See {@link createRouter}. */
export class Router extends RoutedPool implements AsyncDisposable {
  /** Always the primary: a pool of its own kind, for code that must not read from a replica. */
  readonly primary: pg.Pool
  /** A replica whatever the text says; a write fails there. The primary only while no replica is eligible. */
  readonly replica: pg.Pool
  readonly #settings: Settings
  readonly #topology: Topology
  readonly #placement: Placement
  readonly #dispatcher: Dispatcher
  readonly #catalog: FunctionCatalog
  readonly #lifecycle: Lifecycle
  readonly #sessions: Sessions
  readonly #listener: Listener
  readonly #search: Search | undefined

  constructor(options: RouterOptions) {
    const settings = resolveOptions(options)
    const backend: PoolBackend = {
      options: settings.pool,
      run: (given, values, route) => this.#run(given, values, route),
      submit: (query, route) => this.#submit(query, route),
      connect: (route) => this.#connect(route),
      end: () => this.close(),
      counts: () => this.#counts(),
    }
    super(backend, 'auto')
    this.#settings = settings
    this.#topology = new Topology(settings, {
      report: (event, client, error) => this.#forward(event, client, error),
      changed: (server) => this.#announce(server),
      measured: (server) => this.#gauge(server),
    })
    this.#placement = new Placement(settings, this.#topology)
    this.#catalog = new FunctionCatalog(settings.functions, () => this.#loadCatalog())
    this.#dispatcher = new Dispatcher({
      settings,
      topology: this.#topology,
      placement: this.#placement,
      statements: new StatementCache(),
      catalog: this.#catalog,
      paces: settings.pipeline || settings.prepare ? new Paces(settings.pipeline?.slow ?? 0) : undefined,
    })
    this.#sessions = new Sessions(this.#topology, settings.bookmark)
    this.#lifecycle = new Lifecycle({
      closed: () =>
        new UnavailableError('DB_ERR_CLOSED', 'the router was closed before the statement started'),
    })
    this.#lifecycle.onClose(() => this.#topology.close())
    this.#listener = new Listener({
      checkout: (signal) => this.#dispatcher.checkoutPrimary(signal),
      failed: (error) => warnOfListener("'listen'", error),
    })
    this.#lifecycle.onClose(() => this.#listener.close())
    this.#topology.use(settings.servers)
    this.#search = settings.discovery && this.#searchWith(settings.discovery)
    this.primary = new RoutedPool(backend, 'primary')
    this.replica = new RoutedPool(backend, 'replica')
  }

  /**
   * Runs `work` between BEGIN and COMMIT on one connection and gives what it returns. A throw rolls back.
   * Nothing is repeated unless `retry` allows it; a COMMIT whose answer was lost never is.
   */
  transaction<T>(work: (client: TransactionClient) => Promise<T>): Promise<T>
  transaction<T>(options: TransactionOptions, work: (client: TransactionClient) => Promise<T>): Promise<T>
  async transaction<T>(
    first: TransactionOptions | ((client: TransactionClient) => Promise<T>),
    second?: (client: TransactionClient) => Promise<T>,
  ): Promise<T> {
    const work = typeof first === 'function' ? first : second
    if (typeof work !== 'function') {
      throw new UsageError('DB_ERR_USAGE', 'transaction: pass a function that takes the client')
    }
    const plan = planTransaction(typeof first === 'function' ? {} : first)
    return await this.#lifecycle.run(() =>
      runTransaction(
        plan,
        () => this.#client('auto'),
        work as unknown as (client: RouterClient) => Promise<T>,
      ),
    )
  }

  /**
   * Runs `work` as one session: reads inside it see the writes inside it and whatever `from` saw, and never
   * go back in time. Everything called from `work` belongs to it, through any number of `await`s.
   */
  session<T>(work: (session: SessionHandle) => Promise<T>): Promise<T>
  session<T>(options: SessionOptions, work: (session: SessionHandle) => Promise<T>): Promise<T>
  async session<T>(
    first: SessionOptions | ((session: SessionHandle) => Promise<T>),
    second?: (session: SessionHandle) => Promise<T>,
  ): Promise<T> {
    const work = typeof first === 'function' ? first : second
    if (typeof work !== 'function') {
      throw new UsageError('DB_ERR_USAGE', 'session: pass a function to run')
    }
    return await this.#sessions.run(typeof first === 'function' ? {} : first, work)
  }

  /** Runs `work` in a new session without waiting for it: for middleware, whose work ends elsewhere. */
  enter(options: SessionOptions, work: (session: SessionHandle) => void): void {
    this.#sessions.run(options, work)
  }

  /**
   * The bookmark of the session this is called in, or of the whole process outside of any: for a job's payload
   * or another carrier of your own. Costs nothing. Needs `bookmark.secret`.
   */
  bookmark(): string {
    return this.#sessions.bookmark()
  }

  /**
   * Express, Connect and plain `node:http` middleware: each request is a session, and a signed cookie, set only by
   * requests that wrote, carries it to the same browser's next request on any node. Needs `bookmark.secret`.
   */
  middleware(options: MiddlewareOptions = {}): Middleware {
    return sessionMiddleware(this, options)
  }

  /** What would happen to this text now, without running it. */
  explain(sql: string): Explanation {
    if (typeof sql !== 'string') throw new UsageError('DB_ERR_USAGE', 'explain: pass the text of a statement')
    const statement = this.#dispatcher.statement(sql)
    const read = this.#dispatcher.isRead(statement)
    const { routing, consistency } = this.#settings
    const replica = read && routing !== 'explicit' && consistency !== 'strong'
    const session = this.#sessions.current
    const { maxStaleness } = this.#settings
    const demand = { consistency, maxStaleness, session, asked: false, avoid: undefined }
    const ready = replica ? this.#placement.ready(demand, performance.now()) : []
    const known = replica && consistency === 'session' ? session.known : undefined
    return {
      route: replica ? 'replica' : 'primary',
      kind: statement.kind,
      reason: statement.reason,
      unknownFunctions: read ? [] : statement.unknown,
      replicas: ready.map((server) => server.name),
      position: known === undefined || known === 'unknown' ? known : formatLsn(known.lsn),
    }
  }

  /** Every server as last seen. */
  topology(): readonly ServerReport[] {
    return this.#topology.servers.map((server) => reportOf(server, this.#topology))
  }

  /**
   * Sends nothing new to a server, named as in `topology()`, and resolves when the last connection to it has been given
   * back: what runs there ends in peace, and it can be restarted or taken away. While the primary is drained writes wait
   * for another one to be promoted, as long as the buffer allows. The watch over it goes on; `restore` ends it.
   */
  async drain(server: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#topology.drain(
      this.#named('drain', server),
      readSignal(optionReader('drain'), options.signal),
    )
  }

  /** Uses a drained server again. */
  restore(server: string): void {
    this.#topology.restore(this.#named('restore', server))
  }

  /**
   * Calls `message` for each NOTIFY on `channel`, on whichever server is the primary, until the subscription is closed.
   * After the connection was lost it comes back by itself and calls `gap`, since notifications may have been missed.
   */
  async listen(channel: string, options: ListenOptions): Promise<Subscription> {
    this.#lifecycle.assertOpen()
    const read = optionReader('listen')
    read.known(options, ['message', 'gap', 'signal'])
    read.function('message', read.required('message', options.message))
    if (this.#settings.pooler) {
      throw new UsageError(
        'DB_ERR_USAGE',
        'listen does not work through a pooler: connect to the server itself',
      )
    }
    readSignal(read, options.signal)
    const name = read.string('channel', read.required('channel', channel), '')
    // Postgres cuts longer names short and refuses the others: one of them would stop those beside it.
    if (name === '' || name.includes('\0') || Buffer.byteLength(name) > LONGEST_NAME) {
      throw new UsageError('DB_ERR_USAGE', `listen: the name of a channel has 1 to ${LONGEST_NAME} bytes`)
    }
    return await this.#listener.add(name, options)
  }

  /** Waits until each server has been asked once, then reports. */
  async health(): Promise<HealthReport> {
    await this.#search?.ready()
    await this.#topology.ready()
    const servers = this.topology()
    const up = servers.filter((server) => server.health === 'up')
    const writable = this.#topology.primary !== undefined
    return {
      status: up.length === 0 ? 'down' : writable && up.length === servers.length ? 'up' : 'degraded',
      writable,
      servers,
      buffered: this.#topology.waiting,
      fallback: { running: this.#placement.share?.used ?? 0, waiting: this.#placement.share?.waiting ?? 0 },
    }
  }

  /** Takes no new statements, waits for those under way, closes every connection. */
  close(): Promise<void> {
    return this.#lifecycle.close()
  }

  /** The same as {@link Router.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #run(
    given: string | Readonly<Record<string, unknown>>,
    values: readonly unknown[] | undefined,
    route: Route,
  ): Promise<QueryResult> {
    let leave: (() => void) | undefined
    try {
      leave = this.#lifecycle.enter()
      const request = this.#request(given, values, route)
      const session = this.#sessions.current
      if (request.timeout === undefined) return this.#dispatcher.run(request, session, leave)
      const done = leave
      return withTimeout(request, (limited) => this.#dispatcher.run(limited, session, done))
    } catch (error) {
      leave?.()
      return Promise.reject(error)
    }
  }

  #request(
    given: string | Readonly<Record<string, unknown>>,
    values: readonly unknown[] | undefined,
    route: Route,
  ): Request {
    if (typeof given !== 'string' && (typeof given !== 'object' || given === null)) {
      throw new UsageError('DB_ERR_USAGE', 'query: pass a text or a query object')
    }
    return readRequest(given, values, this.#settings, route, QUERY_OPTIONS)
  }

  #submit(query: Submittable, route: Route): Submittable {
    const done = this.#lifecycle.enter()
    submitQueryObject(query, {
      dispatcher: this.#dispatcher,
      settings: this.#settings,
      session: this.#sessions.current,
      route,
      done,
    })
    return query
  }

  async #connect(route: Route): Promise<PoolClient> {
    this.#lifecycle.assertOpen()
    return this.#client(route) as unknown as PoolClient
  }

  #client(route: Route): RouterClient {
    const leave = this.#lifecycle.enter()
    return new RouterClient({
      dispatcher: this.#dispatcher,
      topology: this.#topology,
      session: this.#sessions.current,
      pooler: this.#settings.pooler !== undefined,
      replicas: this.#settings.routing === 'auto',
      read: (given, values) => this.#request(given, values, route),
      released: leave,
    })
  }

  #named(call: string, name: string): Server {
    const server = this.#topology.servers.find((each) => each.name === name)
    if (server) return server
    throw new UsageError(
      'DB_ERR_USAGE',
      `${call}: there is no such server; topology() names them as host:port`,
    )
  }

  #searchWith(discovery: Discovery): Search {
    const { servers, health } = this.#settings
    const read = optionReader('discovery')
    const interval = read.duration('interval', discovery.interval, 30_000, { min: 100 })
    const search = new Search({
      discovery,
      interval: health.passive ? undefined : interval,
      query: async (text) => {
        const request = this.#request(text, undefined, 'auto')
        // What a search calls concerns no session.
        const session = new Session(this.#topology, undefined)
        return (await this.#dispatcher.run({ ...request, consistency: 'eventual' }, session)).rows
      },
      found: (found) => {
        const all = new Map(servers.map((server) => [server.url, server]))
        for (const [index, one] of found.entries()) {
          for (const server of readServers(read, `servers[${index}]`, one)) all.set(server.url, server)
        }
        this.#topology.use([...all.values()])
      },
      failed: (error) => this.#topology.notFound(error),
    })
    this.#lifecycle.onClose(() => search.close())
    return search
  }

  async #loadCatalog(): Promise<readonly CatalogRow[]> {
    const request = this.#request(CATALOG_QUERY, undefined, 'primary')
    const { rows } = await this.#dispatcher.run(request, this.#sessions.process)
    return rows as CatalogRow[]
  }

  #counts() {
    const pools = this.#topology?.servers.map((server) => server.pool) ?? []
    const sum = (count: (pool: ConnectionPool) => number) =>
      pools.reduce((total, pool) => total + count(pool), 0)
    return {
      total: sum((pool) => pool.total),
      idle: sum((pool) => pool.idle),
      waiting: sum((pool) => pool.waiting) + (this.#topology?.waiting ?? 0),
      expired: 0,
    }
  }

  #forward(event: Parameters<PoolReport>[0], client: pg.Client, error: unknown): void {
    if (event === 'release') this.emit('release', error as Error, client as unknown as PoolClient)
    else if (event !== 'error') this.emit(event, client as unknown as PoolClient)
    else if (this.listenerCount('error') > 0)
      this.emit('error', error as Error, client as unknown as PoolClient)
  }

  #announce(server: Server): void {
    if (SERVER_CHANNEL.active) {
      SERVER_CHANNEL.publish({
        instance: this.#settings.name,
        attributes: { ...addressOf(server), 'cays.role': server.role, 'cays.health': server.health },
      })
    }
    this.#listener?.follow(this.#topology.primary)
    this.#search?.soon()
    try {
      this.emit('topology', reportOf(server, this.#topology))
    } catch (error) {
      // A listener's mistake must not stop the watch over the servers.
      warnOfListener("'topology'", error)
    }
  }

  #gauge(server: Server): void {
    if (!STALENESS_CHANNEL.active || !(server.freshAsOf > 0)) return
    STALENESS_CHANNEL.publish({
      instance: this.#settings.name,
      attributes: addressOf(server),
      value: (performance.now() - server.freshAsOf) / 1_000,
    })
  }
}
