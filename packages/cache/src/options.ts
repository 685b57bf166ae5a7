import { type Duration, MAX_TIMER } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { type EncryptionKey, Vault } from './encryption.ts'
import { CacheUsageError } from './errors.ts'
import type { RedisClient } from './redis-client.ts'

/** How long a value lives and what happens when it cannot be had in time. Per cache, per space, per call. */
export interface FreshnessOptions {
  /** How long a value is fresh. @default '1m' */
  readonly ttl?: Duration | undefined
  /** How long `null` and `undefined` are fresh. @default the ttl */
  readonly negativeTtl?: Duration | undefined
  /** Share of the ttl taken off at random, 0 to 1, so that keys filled together do not expire together. @default 0.05 */
  readonly jitter?: number | undefined
  /** For how long past its ttl a value is served at once while a new one is loaded behind it. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** For how long past its ttl a value is served when the loader fails or is slow (`softTimeout`). @default 0 */
  readonly grace?: Duration | undefined
  /** How long a caller waits for the loader before a value within `grace` is served; the load goes on. @default none */
  readonly softTimeout?: Duration | undefined
  /** How long a load may take at all; then its `ctx.signal` aborts and callers are rejected. @default '30s' */
  readonly timeout?: Duration | undefined
  /**
   * How eagerly one of its readers loads a value anew behind its back while it is still fresh, so that nobody
   * waits at its end: the β of XFetch. 1 begins about as long before the end as the load took, more is earlier,
   * 0 is never. Each process draws its moment at random, and one of them loads. @default 0
   */
  readonly earlyRefresh?: number | undefined
  /** After a failed load, how long the key is not loaded again and callers get that failure. @default 100 */
  readonly errorBackoff?: Duration | undefined
}

/** Bounds of the first tier, in this process. */
export interface MemoryOptions {
  /** @default 10_000 */
  readonly maxItems?: number | undefined
  /** Bound of the estimated heap the values and keys hold, in bytes. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /**
   * What goes when memory is full. `'lru'`: what was read longest ago. `'s3-fifo'`: what was not read again soon
   * after it came, so that scans and one-time reads push out nothing that is read often; for keys far more than
   * fit. Reads cost about the same. `'lru'` is better when keys are read a few times after they came, and then no
   * more. @default 'lru'
   */
  readonly eviction?: 'lru' | 's3-fifo' | undefined
}

/** How the second tier uses Redis, and when it leaves it alone. */
export interface RedisOptions {
  /** First part of every Redis key. @default 'cays:cache' */
  readonly prefix?: string | undefined
  /** How long one Redis operation may take before the cache goes on without it. @default '250ms' */
  readonly timeout?: Duration | undefined
  /** How long a loading process holds a key without renewing; the wait when it dies. @default '2s' */
  readonly lease?: Duration | undefined
  /** Failures in a row after which Redis is left alone. @default 5 */
  readonly failures?: number | undefined
  /** How long between tries while Redis is left alone. @default '1s' */
  readonly retryAfter?: Duration | undefined
  /** Largest encoded value kept in Redis, in bytes; larger ones stay in memory only, see `mustFit`. @default 1 MiB */
  readonly maxEntryBytes?: number | undefined
  /** Encoded values longer than this many bytes are compressed with Brotli. @default 0: none are */
  readonly compressOver?: number | undefined
  /**
   * Encrypts values in Redis with AES-256-GCM: the first key encrypts, all of them decrypt, so that keys can be
   * changed while the fleet runs. A value that none of them opens, or that is not encrypted, is a miss, with the
   * warning `CACHE_WARN_UNREADABLE` and the event `unreadable`. Names of keys and tags, sizes and times stay
   * readable. Each process encrypts and decrypts on its main thread. @default none: values are readable
   */
  readonly encryption?: readonly EncryptionKey[] | undefined
  /** Invalidations kept while Redis is away; beyond that they become one `clear`. @default 10_000 */
  readonly queue?: number | undefined
}

/** How processes stay in step. */
export interface SyncOptions {
  /** The bound: no node serves a value this long after an invalidation of it reached Redis. @default '1s' */
  readonly maxStaleness?: Duration | undefined
  /**
   * What a memory hit is worth while Redis cannot confirm it. `'reload'`: the loader is called, at most once
   * per `maxStaleness` and key, and the bound holds. `'serve'`: hits go on as if confirmed, the bound does not.
   * @default 'reload'
   */
  readonly onLost?: 'reload' | 'serve' | undefined
  /**
   * Share of the values in memory, 0 to 1, that are held against their source once while they are fresh: their
   * loader runs once more and its result is compared. `health().checks` and the channel `cays:cache:check` count
   * what was found; one that differs and is still served `maxStaleness` later is `stale`: somewhere an
   * invalidation is missing. One check at a time. @default 0
   */
  readonly check?: number | undefined
  /**
   * Whether writes of others count: when somebody who does not use this package deletes or overwrites a key of
   * this cache in Redis, its value is dropped from memory, in a millisecond, or within `maxStaleness` when the
   * connection was lost. Uses CLIENT TRACKING, on standalone servers and behind Sentinel; refused on a Cluster.
   * A value that this process has loaded is read once more from Redis. @default false
   */
  readonly tracking?: boolean | undefined
  /** Invalidations kept in Redis for nodes that were away; one that missed more drops its memory. @default 10_000 */
  readonly log?: number | undefined
}

export interface CacheOptions extends FreshnessOptions {
  /** Names the cache in Redis, in telemetry and in health reports. Caches of one name share their entries. */
  readonly name: string
  /** Raise it when the shape of cached values changes: versions share nothing. @default 1 */
  readonly version?: number | undefined
  /** An ioredis client, `Redis` or `Cluster`. Without one the cache lives in this process alone. */
  readonly redis?: RedisClient | undefined
  /** The first tier, in this process. */
  readonly l1?: MemoryOptions | undefined
  /** The second tier, in Redis. */
  readonly l2?: RedisOptions | undefined
  /** How nodes stay in step. */
  readonly sync?: SyncOptions | undefined
}

/** Freshness in milliseconds. */
export interface Freshness {
  readonly ttl: number
  readonly negativeTtl: number | undefined
  readonly jitter: number
  readonly staleWhileRevalidate: number
  readonly grace: number
  readonly softTimeout: number
  readonly timeout: number
  readonly earlyRefresh: number
  readonly errorBackoff: number
}

export interface Settings {
  readonly name: string
  readonly namespace: string
  readonly freshness: Freshness
  readonly redis: RedisClient | undefined
  readonly l1: Required<{ readonly [Name in keyof MemoryOptions]: NonNullable<MemoryOptions[Name]> }>
  readonly l2: {
    readonly prefix: string
    readonly timeout: number
    readonly lease: number
    readonly failures: number
    readonly retryAfter: number
    readonly maxEntryBytes: number
    readonly compressOver: number
    readonly vault: Vault | undefined
    readonly queue: number
  }
  readonly sync: {
    readonly maxStaleness: number
    readonly onLost: 'reload' | 'serve'
    readonly check: number
    readonly tracking: boolean
    readonly log: number
  }
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/

const FRESHNESS_NAMES = [
  'ttl',
  'negativeTtl',
  'jitter',
  'staleWhileRevalidate',
  'grace',
  'softTimeout',
  'timeout',
  'earlyRefresh',
  'errorBackoff',
] as const satisfies readonly (keyof FreshnessOptions)[]

export const DEFAULT_FRESHNESS: Freshness = {
  ttl: 60_000,
  negativeTtl: undefined,
  jitter: 0.05,
  staleWhileRevalidate: 0,
  grace: 0,
  softTimeout: MAX_TIMER,
  timeout: 30_000,
  earlyRefresh: 0,
  errorBackoff: 100,
}

/** A day short of Redis' and our own header's limits; nobody waits 100 years for a cache. */
export const MAX_TTL = 100 * 365 * 86_400_000

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new CacheUsageError('CACHE_ERR_OPTION', message))
}

export function readOptions(options: CacheOptions): Settings {
  const read = reader('createCache')
  read.known(options, ['name', 'version', 'redis', 'l1', 'l2', 'sync', ...FRESHNESS_NAMES])
  const { l1 = {}, l2 = {}, sync = {} } = options
  read.known(l1, ['maxItems', 'maxBytes', 'eviction'], 'l1')
  read.known(
    l2,
    [
      'prefix',
      'timeout',
      'lease',
      'failures',
      'retryAfter',
      'maxEntryBytes',
      'compressOver',
      'encryption',
      'queue',
    ],
    'l2',
  )
  read.known(sync, ['maxStaleness', 'onLost', 'check', 'tracking', 'log'], 'sync')
  const name = read.string('name', read.required('name', options.name), '', NAME)
  if (options.redis !== undefined && typeof options.redis?.evalsha !== 'function') {
    read.fail('redis must be an ioredis client (Redis or Cluster)')
  }
  if (sync.tracking && options.redis?.isCluster) {
    read.fail(
      'sync.tracking does not reach the nodes of a Cluster; let other writers call a service that invalidates',
    )
  }
  const namespace = `${name}@${read.integer('version', options.version, 1)}`
  const prefix = read.string('l2.prefix', l2.prefix, 'cays:cache', /^[^{}\s]{1,100}$/)
  return {
    name,
    namespace,
    freshness: readFreshness(options, DEFAULT_FRESHNESS, 'createCache'),
    redis: options.redis,
    l1: {
      maxItems: read.integer('l1.maxItems', l1.maxItems, 10_000, { min: 1, max: 2 ** 24 }),
      maxBytes: read.integer('l1.maxBytes', l1.maxBytes, 64 * 2 ** 20, { min: 1024 }),
      eviction: read.oneOf('l1.eviction', l1.eviction, 'lru', ['lru', 's3-fifo']),
    },
    l2: {
      prefix,
      timeout: read.duration('l2.timeout', l2.timeout, 250, { min: 1, max: 60_000 }),
      lease: read.duration('l2.lease', l2.lease, 2_000, { min: 100, max: 60_000 }),
      failures: read.integer('l2.failures', l2.failures, 5, { min: 1, max: 1_000 }),
      retryAfter: read.duration('l2.retryAfter', l2.retryAfter, 1_000, { min: 10, max: 60_000 }),
      maxEntryBytes: read.integer('l2.maxEntryBytes', l2.maxEntryBytes, 2 ** 20, { min: 1, max: 2 ** 28 }),
      compressOver:
        read.integer('l2.compressOver', l2.compressOver, 0, { max: 2 ** 28 }) || Number.MAX_SAFE_INTEGER,
      vault: readEncryption(read, l2.encryption, `${prefix}:${namespace}`),
      queue: read.integer('l2.queue', l2.queue, 10_000, { min: 1, max: 1_000_000 }),
    },
    sync: {
      maxStaleness: read.duration('sync.maxStaleness', sync.maxStaleness, 1_000, { min: 50, max: 3_600_000 }),
      onLost: read.oneOf('sync.onLost', sync.onLost, 'reload', ['reload', 'serve']),
      tracking: read.boolean('sync.tracking', sync.tracking, false),
      check: read.number('sync.check', sync.check, 0, { max: 1 }),
      log: read.integer('sync.log', sync.log, 10_000, { min: 100, max: 1_000_000 }),
    },
  }
}

function readEncryption(
  read: OptionReader,
  keys: readonly EncryptionKey[] | undefined,
  subject: string,
): Vault | undefined {
  if (keys === undefined) return undefined
  if (!Array.isArray(keys)) read.fail('l2.encryption must be a list of keys')
  for (const [i, key] of keys.entries()) {
    const path = `l2.encryption[${i}]`
    read.known(key, ['id', 'secret'], path)
    read.string(`${path}.id`, read.required(`${path}.id`, key.id), '', /^[A-Za-z0-9_-]{1,32}$/)
    if (!(key.secret instanceof Uint8Array) || key.secret.length !== 32) {
      read.fail(`${path}.secret must be 32 bytes, for one of randomBytes(32)`)
    }
  }
  const [first, ...others] = keys
  if (!first) read.fail('l2.encryption needs a key')
  if (new Set(keys.map(({ id }) => id)).size < keys.length) read.fail('two keys of l2.encryption have one id')
  return new Vault(subject, [first, ...others])
}

/** Reads the freshness part of any options object over defaults; names other than `extra` are refused. */
export function readFreshness(options: FreshnessOptions, defaults: Freshness, subject: string): Freshness {
  const read = reader(subject)
  const ttl = read.duration('ttl', options.ttl, defaults.ttl, { min: 1, max: MAX_TTL })
  const negativeTtl = read.duration('negativeTtl', options.negativeTtl, defaults.negativeTtl ?? -1, {
    min: 1,
    max: MAX_TTL,
  })
  return {
    ttl,
    negativeTtl: negativeTtl === -1 ? undefined : negativeTtl,
    jitter: read.number('jitter', options.jitter, defaults.jitter, { min: 0, max: 1 }),
    staleWhileRevalidate: read.duration(
      'staleWhileRevalidate',
      options.staleWhileRevalidate,
      defaults.staleWhileRevalidate,
      { max: MAX_TTL },
    ),
    grace: read.duration('grace', options.grace, defaults.grace, { max: MAX_TTL }),
    softTimeout: read.duration('softTimeout', options.softTimeout, defaults.softTimeout),
    timeout: read.duration('timeout', options.timeout, defaults.timeout, { min: 1 }),
    earlyRefresh: read.number('earlyRefresh', options.earlyRefresh, defaults.earlyRefresh, { max: 100 }),
    errorBackoff: read.duration('errorBackoff', options.errorBackoff, defaults.errorBackoff),
  }
}

/** Refuses unknown names in the options of one call, of a space, of a decorator. */
export function refuseUnknown<T extends object>(
  options: T,
  names: readonly (keyof T & string)[],
  subject: string,
): void {
  reader(subject).known(options, [...(FRESHNESS_NAMES as readonly string[]), ...names] as (keyof T &
    string)[])
}

/** A name that identifies a space, a memoized function or a decorated method in keys. */
export function readName(name: unknown, subject: string): string {
  const read = reader(subject)
  return read.string('name', read.required('name', name) as string, '', NAME)
}
