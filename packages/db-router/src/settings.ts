import { OptionReader } from '@cays/core/options'
import type { PoolConfig } from 'pg'
import type { Discovery } from './discovery.ts'
import { UsageError } from './errors.ts'
import type { Hedging } from './hedged-read.ts'
import type {
  BookmarkOptions,
  BufferOptions,
  Consistency,
  FallbackOptions,
  FunctionOptions,
  HealthOptions,
  PasswordFor,
  PipelineOptions,
  RouterOptions,
  Routing,
  ServerOptions,
  WaitOptions,
} from './options.ts'
import { serverUrls } from './server-url.ts'

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

/** One of another realm fits as well. */
export function readSignal(
  read: OptionReader,
  signal: AbortSignal | undefined | null,
): AbortSignal | undefined {
  if (signal === undefined || signal === null) return undefined
  if (typeof signal.aborted === 'boolean' && typeof signal.addEventListener === 'function') return signal
  return read.fail('signal must be an AbortSignal')
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
