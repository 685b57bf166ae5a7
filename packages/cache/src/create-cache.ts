import { setMaxListeners } from 'node:events'
import { Events } from '@cays/core/events'
import { Lifecycle } from '@cays/core/lifecycle'
import { Batch, type BatchContext } from './batch.ts'
import type { Cache, CacheEvents, CacheHealth } from './cache.ts'
import { Envelopes } from './envelope.ts'
import { CacheError } from './errors.ts'
import { Fleet, type Reach } from './fleet.ts'
import { type CacheKey, plainKey } from './key.ts'
import { createMemo, type Memo } from './memo.ts'
import { type Memoized, type MemoizeOptions, memoizeWith } from './memoize.ts'
import { MemoryTier } from './memory-tier.ts'
import { type CacheOptions, readOptions, type Settings } from './options.ts'
import { type GetOrSetOptions, type Loader, type Plan, planOf, type SetOptions } from './plan.ts'
import type { Outcome } from './read-parts.ts'
import { ReadThrough } from './read-through.ts'
import type { Write } from './redis-feed.ts'
import { createSpace, type Space, type SpaceOptions, type StoredCache } from './space.ts'
import { READS, REDIS } from './telemetry.ts'
import { Timeline } from './timeline.ts'
import { Warnings } from './warnings.ts'
import { Writes } from './writes.ts'

type CallOptions = { readonly signal?: AbortSignal | undefined }

/**
 * Creates a cache of two tiers: an LRU in this process and, given an ioredis client, Redis behind it.
 *
 * Guarantees, while Redis does not forget acknowledged writes without changing its run id (a split brain does):
 * - one load per key at a time in all processes that share `name` and `version`, while Redis answers;
 * - once `invalidate`, `expire`, `set`, `invalidateTags` or `clear` resolved to `'fleet'`, no read that begins
 *   later gets the old value: in this process at once, in others `sync.maxStaleness` later, whatever happens to
 *   connections, messages or Redis meanwhile (with `sync.onLost: 'serve'` only while Redis answers);
 * - Redis being slow, frozen or gone costs a read at most `l2.timeout` and, after `l2.failures`, nothing.
 *
 * ```ts
 * import { Redis } from 'ioredis'
 * import { createCache } from '@cays/cache'
 *
 * await using cache = createCache({ name: 'shop', redis: new Redis(), ttl: '5m' })
 * const user = await cache.getOrSet('user:42', () => db.users.find(42))
 * await cache.invalidate('user:42')
 * ```
 */
export function createCache(options: CacheOptions): Cache {
  return new TwoTierCache(readOptions(options))
}

class TwoTierCache implements Cache {
  readonly name: string
  readonly #settings: Settings
  readonly #timeline: Timeline
  readonly #memory: MemoryTier
  readonly #fleet: Fleet | undefined
  readonly #reads: ReadThrough
  readonly #defaults: Plan
  readonly #events = new Events<CacheEvents>()
  readonly #lifecycle = new Lifecycle({
    closed: () => new CacheError('CACHE_ERR_CLOSED', 'the cache is closed'),
  })
  readonly #writes: Writes
  readonly #counts = { redis: 0, loaded: 0, stale: 0, failed: 0 }
  /** The same verbs on stored keys, for spaces and memoized functions, whose keys are already unambiguous. */
  readonly #stored: StoredCache

  constructor(settings: Settings) {
    this.name = settings.name
    // One listener per load under way, each taken off when it ends.
    setMaxListeners(0, this.#lifecycle.signal)
    this.#settings = settings
    const warnings = new Warnings(settings.name)
    const envelopes = new Envelopes(settings.l2, (key) => {
      warnings.warn(
        'CACHE_WARN_UNREADABLE',
        'a value in Redis was changed there, or its key is not in l2.encryption; it is a miss',
      )
      this.#events.emit('unreadable', { key })
    })
    this.#timeline = new Timeline(settings.redis === undefined)
    // Frozen: subscribers may keep what they make of it.
    const hit = Object.freeze({ instance: this.name, attributes: { 'cache.result': 'memory' } })
    this.#memory = new MemoryTier(settings.l1, this.#timeline, () => READS.publish(hit))
    this.#defaults = { freshness: settings.freshness, tags: [], schema: undefined }
    const closing = this.#lifecycle.signal
    if (settings.redis) {
      this.#fleet = new Fleet({
        client: settings.redis,
        settings,
        timeline: this.#timeline,
        closing,
        warnings,
        apply: (change, seq) => this.#writes.receive(change, seq),
        forget: (keys) => this.#writes.forget(keys),
      })
      this.#fleet.tier.events.on('down', (error) => {
        this.#events.emit('redis-down', { error })
        this.#publishRedis('down')
      })
      this.#fleet.tier.events.on('up', () => {
        this.#events.emit('redis-up', undefined)
        this.#publishRedis('up')
      })
    }
    const parts = {
      memory: this.#memory,
      timeline: this.#timeline,
      fleet: this.#fleet,
      envelopes,
      settings,
      warnings,
      closing,
      observe: (outcome: Outcome) => this.#observe(outcome),
    }
    this.#reads = new ReadThrough(parts)
    this.#writes = new Writes({ ...parts, reads: this.#reads, events: this.#events })
    this.#lifecycle.onClose(() => {
      this.#fleet?.close()
      this.#timeline.flush()
      this.#memory.clear()
    })
    this.#stored = {
      answer: (key) => this.#memory.answer(key),
      getOrSet: (key, load, options) => this.#getOrSet(key, load, options),
      peek: <T>(key: string) => this.#memory.fresh(key)?.value as T | undefined,
      getMany: (keys, options) => this.#getMany(keys, options),
      set: (key, value, options) => this.#set(key, value, options),
      invalidate: (keys) => this.#write({ kind: 'invalidate', names: keys }),
      expire: (keys) => this.#write({ kind: 'expire', names: keys }),
      invalidateTag: (tag) => this.#write({ kind: 'tags', names: [tag] }),
    }
  }

  getOrSet<T>(key: string, load: Loader<T>, options?: GetOrSetOptions): Promise<T> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason)
    const stored = plainKey(key)
    const answer = this.#memory.answer(stored)
    if (answer !== undefined) return answer as Promise<T>
    return this.#load(stored, load, options?.tags ? withPlainTags(options) : options)
  }

  #getOrSet<T>(key: string, load: Loader<T>, options: GetOrSetOptions | undefined): Promise<T> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason)
    const answer = this.#memory.answer(key)
    if (answer !== undefined) return answer as Promise<T>
    return this.#load(key, load, options)
  }

  #load<T>(key: string, load: Loader<T>, options: GetOrSetOptions | undefined): Promise<T> {
    return this.#lifecycle.run(async () => {
      const plan = planOf(options, this.#defaults, 'getOrSet')
      return (await this.#reads.load(key, load, plan, options?.signal)) as T
    })
  }

  get<T = unknown>(key: string, options?: CallOptions): Promise<T | undefined> {
    const stored = plainKey(key)
    const answer = this.#memory.answer(stored)
    if (answer !== undefined) return answer as Promise<T | undefined>
    return this.#lifecycle.run(async () => {
      return (await this.#reads.many.read([stored], [stored], options?.signal)).get(stored) as T | undefined
    })
  }

  peek<T = unknown>(key: string): T | undefined {
    return this.#memory.fresh(plainKey(key))?.value as T | undefined
  }

  getMany<T = unknown>(keys: readonly string[], options?: CallOptions): Promise<ReadonlyMap<string, T>> {
    return this.#getMany<T>(keys.map(plainKey), options, keys)
  }

  #getMany<T>(
    keys: readonly string[],
    options: (CallOptions & Pick<GetOrSetOptions, 'schema'>) | undefined,
    names = keys,
  ): Promise<ReadonlyMap<string, T>> {
    return this.#lifecycle.run(async () => {
      const found = await this.#reads.many.read(keys, names, options?.signal, options?.schema)
      return found as ReadonlyMap<string, T>
    })
  }

  async getOrSetMany<T>(
    keys: readonly string[],
    loadMany: (keys: readonly string[], context: BatchContext) => readonly T[] | PromiseLike<readonly T[]>,
    options?: GetOrSetOptions,
  ): Promise<T[]> {
    const batch = new Batch(loadMany, this.#settings.freshness.timeout)
    const plain = options?.tags ? withPlainTags(options) : options
    const stored = keys.map(plainKey)
    const found = await this.#getMany<T>([...new Set(stored)], options)
    return await Promise.all(
      stored.map((key, i) =>
        found.has(key)
          ? (found.get(key) as T)
          : this.#getOrSet<T>(key, () => batch.load(keys[i] as string), plain),
      ),
    )
  }

  set(key: string, value: unknown, options?: SetOptions): Promise<Reach> {
    return this.#set(plainKey(key), value, options?.tags ? withPlainTags(options) : options)
  }

  #set(key: string, value: unknown, options: (GetOrSetOptions & SetOptions) | undefined): Promise<Reach> {
    return this.#lifecycle.run(async () => {
      const plan = planOf(options, this.#defaults, 'set')
      return await this.#writes.set(key, value, plan, options?.mustFit ?? false)
    })
  }

  invalidate(keys: CacheKey | readonly CacheKey[]): Promise<Reach> {
    return this.#write({ kind: 'invalidate', names: storedKeys(keys) })
  }

  expire(keys: CacheKey | readonly CacheKey[]): Promise<Reach> {
    return this.#write({ kind: 'expire', names: storedKeys(keys) })
  }

  invalidateTags(tags: string | readonly string[]): Promise<Reach> {
    return this.#write({ kind: 'tags', names: listOf(tags).map(plainKey) })
  }

  clear(): Promise<Reach> {
    return this.#write({ kind: 'clear', names: [] })
  }

  transaction<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return this.#lifecycle.run(() => this.#writes.transactions.run(work))
  }

  define<Id, T>(options: SpaceOptions<Id, T>): Space<Id, T> {
    return createSpace(this.#stored, options)
  }

  memoize<Args extends readonly unknown[], T>(
    fn: (...args: Args) => T | PromiseLike<T>,
    options: MemoizeOptions<Args, T>,
  ): Memoized<Args, T> {
    return memoizeWith(this.#stored, fn, options)
  }

  memo(): Memo {
    return createMemo((key, load, options) => this.getOrSet(key, load, options))
  }

  on<Name extends keyof CacheEvents & string>(
    name: Name,
    listener: (payload: CacheEvents[Name]) => void,
  ): Disposable {
    return this.#events.on(name, listener)
  }

  health(): CacheHealth {
    const fleet = this.#fleet
    const health: CacheHealth = {
      status: fleet && (!fleet.usable || fleet.tier.failing) ? 'degraded' : 'ok',
      reads: { memory: this.#memory.hits, ...this.#counts },
      checks: { ...this.#reads.checks.counts },
      memory: { items: this.#memory.items, bytes: this.#memory.bytes },
      loading: this.#reads.loading,
    }
    if (!fleet) return health
    const { lastError } = fleet.tier
    const redis = {
      state: fleet.tier.state,
      confirmed: fleet.feed.confirmed,
      subscribed: fleet.feed.subscribed,
      tracking: fleet.feed.tracking,
      pending: fleet.pending,
    }
    return { ...health, redis: lastError ? { ...redis, lastError } : redis }
  }

  close(): Promise<void> {
    return this.#lifecycle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #write(write: Write): Promise<Reach> {
    return this.#lifecycle.run(() => this.#writes.write(write))
  }

  #observe(outcome: Outcome): void {
    this.#counts[outcome]++
    if (READS.active) READS.publish({ instance: this.name, attributes: { 'cache.result': outcome } })
  }

  #publishRedis(state: 'down' | 'up'): void {
    if (REDIS.active) REDIS.publish({ instance: this.name, attributes: { 'cache.redis': state } })
  }
}

function storedKeys(keys: CacheKey | readonly CacheKey[]): readonly string[] {
  return Array.isArray(keys) ? keys.map(plainKey) : [plainKey(keys as CacheKey)]
}

function listOf(names: string | readonly string[]): readonly string[] {
  return typeof names === 'string' ? [names] : names
}

function withPlainTags<O extends SetOptions>(options: O): O {
  return { ...options, tags: options.tags?.map(plainKey) }
}
