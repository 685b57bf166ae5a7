import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import type { PoolConfig } from 'pg'
import type { Discovery } from './discovery.ts'
import { UsageError } from './errors.ts'
import type { Hedging } from './hedged-read.ts'
import { serverUrls } from './server-url.ts'

/** How fresh a read has to be. */
export type Consistency = 'strong' | 'session' | 'bounded' | 'eventual'
/** Where a statement may run: decided by its text, or as the caller says. */
export type Route = 'auto' | 'primary' | 'replica'
/** How statements find their server when the call does not say. */
export type Routing = 'auto' | 'explicit' | 'observe'

/** One Postgres server. */
export interface ServerOptions {
  /**
   * `postgres://user@host:port/database`, of one server: not of a load balancer, whose answers prove nothing. Several
   * hosts, as libpq takes them (`postgres://app@one,two:5433/app`), are several servers.
   */
  readonly url: string
  /** Share of reads relative to the others. @default 1 */
  readonly weight?: number
  /** Where it is, such as an availability zone; see `zone` of the router. */
  readonly zone?: string
}

/** What a password is for. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

/** Gives the password for one more connection, such as a token that lasts some minutes. */
export type PasswordFor = (server: ServerAddress) => string | Promise<string>

/** How servers are watched. */
export interface HealthOptions {
  /** Time between two probes of one server; varied by 10 % so that servers are not probed in step. @default '1s' */
  readonly interval?: Duration
  /** How long a probe may take. @default 400 */
  readonly timeout?: Duration
  /** Good probes in a row before a server that was down is used again. @default 2 */
  readonly rise?: number
  /** Failed probes in a row before a server counts as down. @default 2 */
  readonly fall?: number
  /** How long a replica that was down takes to get its full share of reads again. @default '10s' */
  readonly slowStart?: Duration
}

/** What a read does while no replica has what its session has seen. */
export interface WaitOptions {
  /** How long a read may wait for a replica to reach what the session has seen. @default 50 */
  readonly budget?: Duration
  /** Where the read goes when the budget is spent. @default 'primary' */
  readonly otherwise?: 'primary' | 'error'
}

/** How much of the primary reads may use while no replica can serve them. */
export interface FallbackOptions {
  /** Share of the primary's connections that reads without a replica may use, 0 to 1. @default 0.5 */
  readonly share?: number
  /** Reads that may wait for such a connection before more are shed. @default 1000 */
  readonly queue?: number
  /**
   * How long a read may wait for such a connection. One that would wait for more than half of it, by what the others take, is
   * shed at once. @default '1s'
   */
  readonly wait?: Duration
}

/** How statements wait while there is no primary. */
export interface BufferOptions {
  /** How long statements wait for a primary, counted from the moment it was lost. @default '10s' */
  readonly window?: Duration
  /** Statements that may wait at once. @default 1000 */
  readonly size?: number
}

/** How bookmarks are signed, and how long they count. */
export interface BookmarkOptions {
  /** Signs bookmarks, so that clients can carry them: at least 16 characters, the same on every node. */
  readonly secret: string
  /** How long a bookmark counts. Must not be shorter than `maxStaleness`. @default '30s' */
  readonly ttl?: Duration
}

/** What the router should know of your functions beyond what the database says. */
export interface FunctionOptions {
  /** Functions of yours that must run on the primary, by name without schema. */
  readonly primary?: readonly string[]
  /** Functions of yours that only read, by name without schema, though Postgres calls them volatile. */
  readonly replica?: readonly string[]
}

/** How statements share connections. */
export interface PipelineOptions {
  /** Statements that may be under way on one connection. @default 32 */
  readonly depth?: number
  /** A statement that takes this long on average gets a connection of its own. @default 20 */
  readonly slow?: Duration
}

/** Servers that are named, or found, or both. */
export type RouterServers =
  | {
      /** The server expected to take writes. Which one really does is observed, not configured. */
      readonly primary: string | ServerOptions
      /** Finds further servers, and goes on looking. */
      readonly discovery?: Discovery
    }
  | { readonly primary?: string | ServerOptions; readonly discovery: Discovery }

/** What `createRouter` takes. Times are milliseconds or strings such as `'5s'`. */
export type RouterOptions = RouterServers & RouterSettings

/** How the router works with its servers. */
export interface RouterSettings {
  readonly replicas?: readonly (string | ServerOptions)[]
  /** Where this process is: reads prefer replicas of the same `zone` that have a free connection. */
  readonly zone?: string
  /** Asked for the password of each new connection, instead of one in the URL. */
  readonly password?: PasswordFor
  /**
   * `transaction`: PgBouncer or another pooler that gives a connection to a transaction only stands before the servers.
   * Statements are not prepared, and what would leave state in a connection is refused.
   */
  readonly pooler?: 'transaction'
  /**
   * Settings of `pg.Pool`, applied to the pool of each server. `max` is per server.
   * `connectionTimeoutMillis` defaults to 5000 here.
   */
  readonly pool?: PoolConfig
  /**
   * `explicit` sends everything to the primary unless the call says `route: 'replica'`. So does `observe`, and tells by
   * `cays.reason` of its telemetry, and by `explain`, what `auto` would do. @default 'auto'
   */
  readonly routing?: Routing
  /** @default 'session' */
  readonly consistency?: Consistency
  /** A replica further behind serves no reads unless asked by name. @default '30s' */
  readonly maxStaleness?: Duration
  readonly wait?: WaitOptions
  /** Reads on the primary while no replica can serve them; `false` refuses them. */
  readonly fallback?: FallbackOptions | false
  /** `passive`: no timers. Servers are looked at while statements run, for databases that sleep when left alone. */
  readonly health?: HealthOptions | 'passive'
  readonly buffer?: BufferOptions
  /** How often a read is tried in all, each time on another server if there is one. @default 3 */
  readonly readAttempts?: number
  readonly functions?: FunctionOptions
  readonly bookmark?: BookmarkOptions
  /**
   * Sends statements outside of transactions without waiting for the answers to those before, several on one
   * connection. A text shares from its second run on and only while it is quick. Aborting such a statement
   * gives up waiting for it; it still runs. Not for PgBouncer in transaction mode. @default false
   */
  readonly pipeline?: boolean | PipelineOptions
  /**
   * Prepares texts that are repeated, on each connection that runs them, so that the server parses and plans
   * them once. Not for PgBouncer in transaction mode. @default false
   */
  readonly prepare?: boolean
  /**
   * Sends reads whose server is late to another replica as well: `hedging()` of `@cays/db-router/hedge`. @default none
   */
  readonly hedge?: Hedging
  /** Label of this instance in telemetry. @default 'default' */
  readonly name?: string
}

export interface ServerSettings {
  readonly url: string
  readonly weight: number
  readonly zone: string | undefined
}

/** The options with every default filled in; times in milliseconds. */
export interface Settings {
  readonly name: string
  readonly servers: readonly ServerSettings[]
  readonly discovery: Discovery | undefined
  readonly zone: string | undefined
  readonly password: PasswordFor | undefined
  readonly pooler: 'transaction' | undefined
  readonly pool: PoolConfig
  readonly routing: Routing
  readonly consistency: Consistency
  readonly maxStaleness: number
  readonly wait: { readonly budget: number; readonly otherwise: 'primary' | 'error' }
  readonly fallback: { readonly share: number; readonly queue: number; readonly wait: number } | false
  readonly health: {
    readonly interval: number
    readonly timeout: number
    readonly rise: number
    readonly fall: number
    readonly slowStart: number
    readonly passive: boolean
  }
  readonly buffer: { readonly window: number; readonly size: number }
  readonly readAttempts: number
  readonly functions: { readonly primary: ReadonlySet<string>; readonly replica: ReadonlySet<string> }
  readonly bookmark: { readonly secret: string; readonly ttl: number } | undefined
  readonly pipeline: { readonly depth: number; readonly slow: number } | undefined
  readonly prepare: boolean
  readonly hedge: Hedging | undefined
}

export const CONSISTENCIES: readonly Consistency[] = ['strong', 'session', 'bounded', 'eventual']

export function optionReader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new UsageError('DB_ERR_OPTIONS', message))
}

export function resolveOptions(options: RouterOptions): Settings {
  const read = optionReader('createRouter')
  read.known(options, [
    'primary',
    'replicas',
    'discovery',
    'zone',
    'password',
    'pooler',
    'pool',
    'routing',
    'consistency',
    'maxStaleness',
    'wait',
    'fallback',
    'health',
    'buffer',
    'readAttempts',
    'functions',
    'bookmark',
    'pipeline',
    'prepare',
    'hedge',
    'name',
  ])
  const replicas = options.replicas ?? []
  if (!Array.isArray(replicas)) read.fail('replicas must be a list')
  const { discovery, pooler } = options
  if (discovery !== undefined)
    read.function('discovery.find', read.required('discovery.find', discovery.find))
  const primary = discovery ? options.primary : read.required('primary', options.primary)
  const servers = [
    ...(primary === undefined ? [] : readServers(read, 'primary', primary)),
    ...replicas.flatMap((replica, index) => readServers(read, `replicas[${index}]`, replica)),
  ]
  if (pooler !== undefined) read.oneOf('pooler', pooler, pooler, ['transaction'])
  for (const name of ['pipeline', 'prepare'] as const) {
    if (pooler && options[name]) read.fail(`${name} does not work behind a pooler: leave one of the two out`)
  }
  if (new Set(servers.map((server) => server.url)).size !== servers.length) {
    read.fail('primary and replicas must be different servers')
  }
  const maxStaleness = read.duration('maxStaleness', options.maxStaleness, 30_000, { min: 1 })
  return {
    name: read.string('name', options.name, 'default', /^[\w.-]{1,60}$/),
    servers,
    discovery,
    zone: options.zone === undefined ? undefined : read.string('zone', options.zone, ''),
    password: read.function('password', options.password),
    pooler,
    pool: readPool(read, options.pool),
    routing: read.oneOf('routing', options.routing, 'auto', ['auto', 'explicit', 'observe']),
    consistency: read.oneOf('consistency', options.consistency, 'session', CONSISTENCIES),
    maxStaleness,
    wait: readWait(read, options.wait),
    fallback: readFallback(read, options.fallback),
    health: readHealth(read, options.health),
    buffer: readBuffer(read, options.buffer),
    readAttempts: read.integer('readAttempts', options.readAttempts, 3, { min: 1, max: 100 }),
    functions: readFunctions(read, options.functions),
    bookmark: readBookmark(read, options.bookmark, maxStaleness),
    pipeline: readPipeline(read, options.pipeline),
    prepare: read.boolean('prepare', options.prepare, false),
    hedge: readHedge(read, options.hedge),
  }
}

/** One server, or one for each host of its URL. */
export function readServers(
  read: OptionReader,
  path: string,
  server: string | ServerOptions,
): readonly ServerSettings[] {
  const given: ServerOptions = typeof server === 'string' ? { url: server } : server
  read.known(given, ['url', 'weight', 'zone'], path)
  const urls = serverUrls(read.string(`${path}.url`, read.required(`${path}.url`, given.url), ''))
  if (!urls) read.fail(`${path} must be a URL such as postgres://user@host:5432/database`)
  const weight = read.number(`${path}.weight`, given.weight, 1, { min: 0.001, max: 1_000 })
  const zone = given.zone === undefined ? undefined : read.string(`${path}.zone`, given.zone, '')
  return urls.map((url) => ({ url, weight, zone }))
}

function readPool(read: OptionReader, pool: PoolConfig | undefined): PoolConfig {
  if (pool === undefined) return { connectionTimeoutMillis: 5_000 }
  if (typeof pool !== 'object' || pool === null) read.fail('pool must be an object of pg.Pool settings')
  if ('connectionString' in pool || 'host' in pool || 'port' in pool) {
    read.fail('pool must not name a server: use primary and replicas')
  }
  return { connectionTimeoutMillis: 5_000, ...pool }
}

function readWait(read: OptionReader, wait: WaitOptions = {}): Settings['wait'] {
  read.known(wait, ['budget', 'otherwise'], 'wait')
  return {
    budget: read.duration('wait.budget', wait.budget, 50),
    otherwise: read.oneOf('wait.otherwise', wait.otherwise, 'primary', ['primary', 'error']),
  }
}

function readFallback(read: OptionReader, fallback: FallbackOptions | false = {}): Settings['fallback'] {
  if (fallback === false) return false
  read.known(fallback, ['share', 'queue', 'wait'], 'fallback')
  return {
    share: read.number('fallback.share', fallback.share, 0.5, { min: 0.01, max: 1 }),
    queue: read.integer('fallback.queue', fallback.queue, 1_000, { min: 0 }),
    wait: read.duration('fallback.wait', fallback.wait, 1_000, { min: 1 }),
  }
}

function readHealth(read: OptionReader, given: HealthOptions | 'passive' = {}): Settings['health'] {
  const health = given === 'passive' ? {} : given
  read.known(health, ['interval', 'timeout', 'rise', 'fall', 'slowStart'], 'health')
  return {
    passive: given === 'passive',
    slowStart: read.duration('health.slowStart', health.slowStart, 10_000),
    interval: read.duration('health.interval', health.interval, 1_000, { min: 10 }),
    timeout: read.duration('health.timeout', health.timeout, 400, { min: 10 }),
    rise: read.integer('health.rise', health.rise, 2, { min: 1, max: 100 }),
    fall: read.integer('health.fall', health.fall, 2, { min: 1, max: 100 }),
  }
}

function readBuffer(read: OptionReader, buffer: BufferOptions = {}): Settings['buffer'] {
  read.known(buffer, ['window', 'size'], 'buffer')
  return {
    window: read.duration('buffer.window', buffer.window, 10_000),
    size: read.integer('buffer.size', buffer.size, 1_000, { min: 0 }),
  }
}

function readPipeline(read: OptionReader, given: boolean | PipelineOptions = false): Settings['pipeline'] {
  if (given === false) return undefined
  const pipeline = given === true ? {} : given
  read.known(pipeline, ['depth', 'slow'], 'pipeline')
  return {
    depth: read.integer('pipeline.depth', pipeline.depth, 32, { min: 1, max: 1_000 }),
    slow: read.duration('pipeline.slow', pipeline.slow, 20, { min: 1 }),
  }
}

export function readHedge(read: OptionReader, hedge: Hedging | undefined): Hedging | undefined {
  if (hedge === undefined) return undefined
  if (typeof (hedge as Partial<Hedging> | null)?.run !== 'function') {
    read.fail('hedge must be what hedging() of @cays/db-router/hedge gives')
  }
  return hedge
}

function readFunctions(read: OptionReader, functions: FunctionOptions = {}): Settings['functions'] {
  read.known(functions, ['primary', 'replica'], 'functions')
  const names = (path: string, list: readonly string[] = []) => {
    if (!Array.isArray(list) || list.some((name) => typeof name !== 'string')) {
      read.fail(`${path} must be a list of function names`)
    }
    // As Postgres keeps it, and as it would without quotes.
    return new Set(list.flatMap((name) => [name, name.toLowerCase()]))
  }
  return {
    primary: names('functions.primary', functions.primary),
    replica: names('functions.replica', functions.replica),
  }
}

function readBookmark(
  read: OptionReader,
  bookmark: BookmarkOptions | undefined,
  maxStaleness: number,
): Settings['bookmark'] {
  if (bookmark === undefined) return undefined
  read.known(bookmark, ['secret', 'ttl'], 'bookmark')
  const secret = read.string('bookmark.secret', read.required('bookmark.secret', bookmark.secret), '')
  if (secret.length < 16) read.fail('bookmark.secret must have at least 16 characters')
  const ttl = read.duration('bookmark.ttl', bookmark.ttl, Math.max(30_000, maxStaleness))
  if (ttl < maxStaleness) read.fail('bookmark.ttl must not be shorter than maxStaleness')
  return { secret, ttl }
}
