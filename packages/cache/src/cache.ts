import type { EventSource } from '@cays/core/events'
import type { Closeable } from '@cays/core/lifecycle'
import type { BatchContext } from './batch.ts'
import type { Reach } from './fleet.ts'
import type { CacheKey } from './key.ts'
import type { Memo } from './memo.ts'
import type { Memoized, MemoizeOptions } from './memoize.ts'
import type { GetOrSetOptions, Loader, SetOptions } from './plan.ts'
import type { Space, SpaceOptions } from './space.ts'

/** What `cache.on` tells. */
export type CacheEvents = {
  /** Entries were invalidated, by this process (`local`) or another one. Tags instead of keys for tags. */
  readonly invalidated: {
    readonly kind: 'invalidate' | 'expire' | 'set' | 'tags' | 'clear'
    readonly names: readonly string[]
    readonly local: boolean
  }
  /**
   * A value in Redis was changed there, or is encrypted with a key that is not in `l2.encryption`. It is a miss.
   * `key` is its key, that of a space or a memoized function as `@name(arguments)`.
   */
  readonly unreadable: { readonly key: string }
  /** Redis failed often enough to be left alone; the cache goes on in memory. */
  readonly 'redis-down': { readonly error: Error }
  /** Redis is used again; what was pending has been replayed. */
  readonly 'redis-up': undefined
}

/** The state of one cache, for `/healthz` and dashboards. */
export interface CacheHealth {
  /** `'ok'`, or `'degraded'` while Redis is configured and its last answer failed to come. The cache answers in both. */
  readonly status: 'ok' | 'degraded'
  /** Counts since the cache was created. */
  readonly reads: {
    readonly memory: number
    readonly redis: number
    readonly loaded: number
    readonly stale: number
    readonly failed: number
  }
  /** What `sync.check` found. */
  readonly checks: {
    readonly same: number
    readonly changed: number
    readonly stale: number
    readonly unknown: number
  }
  readonly memory: { readonly items: number; readonly bytes: number }
  readonly loading: number
  readonly redis?: {
    readonly state: 'up' | 'down' | 'trying'
    /** The feed was confirmed within `maxStaleness`. False in an idle cache, too. */
    readonly confirmed: boolean
    readonly subscribed: boolean
    /** Writes of others to the keys of this cache are heard of at once (`sync.tracking`). */
    readonly tracking: boolean
    /** Invalidations that Redis has yet to hear of. */
    readonly pending: number
    readonly lastError?: Error
  }
}

/**
 * Two tiers, one load per key in the whole fleet, never stale past a stated bound. See `createCache`.
 *
 * Treat what you get as read-only: memory hits hand out the same object to every caller.
 */
export interface Cache extends Closeable, EventSource<CacheEvents> {
  readonly name: string

  /**
   * The cached value of `key`, or what `load` returns for it, cached.
   *
   * One `load` per key runs in the whole fleet at a time, while Redis answers; without it one per process. A
   * value whose key was invalidated while it loaded reaches the callers that came before, and is never kept.
   * A failure of `load` reaches the callers unless `grace` has an older value. Redis never makes it fail.
   */
  getOrSet<T>(key: string, load: Loader<T>, options?: GetOrSetOptions): Promise<T>

  /** The cached value, or `undefined`. Asks memory, then Redis. */
  get<T = unknown>(
    key: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T | undefined>

  /** The value in memory, if it may be served as fresh right now, without a promise. */
  peek<T = unknown>(key: string): T | undefined

  /** Those of the keys that are cached; one round trip to Redis for all that memory lacks. */
  getMany<T = unknown>(
    keys: readonly string[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<ReadonlyMap<string, T>>

  /**
   * As `getOrSet` for many keys: one value per key, in their order. `loadMany` gets the keys that nobody in the
   * fleet has or loads, in one call or a few, and returns one value per key in the order it was given them.
   */
  getOrSetMany<T>(
    keys: readonly string[],
    loadMany: (keys: readonly string[], context: BatchContext) => readonly T[] | PromiseLike<readonly T[]>,
    options?: GetOrSetOptions,
  ): Promise<T[]>

  /** Caches a value you already have, and voids loads of that key under way anywhere. */
  set(key: string, value: unknown, options?: SetOptions): Promise<Reach>

  /** The value is wrong: nobody gets it again. See {@link Reach} for when that holds where. */
  invalidate(keys: CacheKey | readonly CacheKey[]): Promise<Reach>

  /** The value is old: the next read loads it anew, `staleWhileRevalidate` and `grace` may still serve it. */
  expire(keys: CacheKey | readonly CacheKey[]): Promise<Reach>

  /** Invalidates every value that carries any of these tags. */
  invalidateTags(tags: string | readonly string[]): Promise<Reach>

  /** Invalidates everything in this cache, in constant time. Redis frees the memory as the ttls end. */
  clear(): Promise<Reach>

  /**
   * Runs `work`, and what it invalidates, expires, sets or clears on this cache takes hold once `work` resolved;
   * nothing of it when `work` rejects. Calls meanwhile resolve to `'deferred'`, and reads go on as for everybody
   * else: inside a database transaction read what it changed from the database. A `set` becomes an invalidation.
   *
   * Put it around the transaction of your database, so that it ends after the commit. An error that says
   * `outcome: 'unknown'`, as a commit does whose answer was lost, carries the invalidations out all the same.
   * One transaction in another one belongs to it. A process that dies between the two loses the invalidations.
   */
  transaction<T>(work: () => T | PromiseLike<T>): Promise<T>

  /** A typed key space with its loader. Its name must be unique in the cache. */
  define<Id, T>(options: SpaceOptions<Id, T>): Space<Id, T>

  /** The function with its results cached, under a name that must be unique in the cache. */
  memoize<Args extends readonly unknown[], T>(
    fn: (...args: Args) => T | PromiseLike<T>,
    options: MemoizeOptions<Args, T>,
  ): Memoized<Args, T>

  /**
   * Reads for the length of one request: the parts of a page that ask for one key get one answer, though it
   * changes meanwhile or cannot be kept. Make one per request and let it go with it.
   */
  memo(): Memo

  /** How the cache is doing, without asking Redis. */
  health(): CacheHealth
}
