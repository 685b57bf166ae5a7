import { Batch, type BatchContext } from './batch.ts'
import type { Cache } from './cache.ts'
import type { Reach } from './fleet.ts'
import { type CallKey, callKey, callKeyOf, plainKey } from './key.ts'
import {
  DEFAULT_FRESHNESS,
  type FreshnessOptions,
  readFreshness,
  readName,
  refuseUnknown,
} from './options.ts'
import type { GetOrSetOptions, LoadContext, SetOptions } from './plan.ts'
import type { Schema } from './schema.ts'

/** Options of a single read. */
export type CallOptions = {
  /** Rejects this caller with `signal.reason`; a load that others share goes on. */
  readonly signal?: AbortSignal | undefined
}

export interface SpaceOptions<Id, T> extends FreshnessOptions {
  /** Part of every key: letters, digits, `_ . : -`. */
  readonly name: string
  /** Loads the value of one id. */
  readonly load: (id: Id, context: LoadContext) => T | PromiseLike<T>
  /** Loads many at once, one value per id in the order of the ids; used by `getMany` for what is not cached. */
  readonly loadMany?:
    | ((ids: readonly Id[], context: BatchContext) => readonly T[] | PromiseLike<readonly T[]>)
    | undefined
  /** The plain data that identifies an id, as a list of parts. @default the id itself */
  readonly key?: ((id: Id) => readonly unknown[]) | undefined
  /** Tags of a value. */
  readonly tags?: readonly string[] | ((value: T, id: Id) => readonly string[]) | undefined
  /** What values must be, as a Standard Schema: Zod, Valibot, ArkType. See `GetOrSetOptions.schema`. */
  readonly schema?: Schema<T> | undefined
}

/** Values of one kind: typed ids in place of string keys, one loader, one policy. */
export interface Space<Id, T> {
  readonly name: string
  /** The cached value, or what `load` returns; as `cache.getOrSet`. */
  get(id: Id, options?: CallOptions): Promise<T>
  /** The value in memory if it is fresh, without a promise. */
  peek(id: Id): T | undefined
  /** One value per id, in the order of the ids: one round trip for all that memory lacks, then the loader. */
  getMany(ids: readonly Id[], options?: CallOptions): Promise<T[]>
  /** Caches a value you already have; as `cache.set`. */
  set(id: Id, value: T, options?: SetOptions): Promise<Reach>
  /** The values are wrong: nobody gets them again. */
  invalidate(...ids: readonly Id[]): Promise<Reach>
  /** The values are old: the next read loads them anew. */
  expire(...ids: readonly Id[]): Promise<Reach>
  /** Invalidates every value of this space. */
  clear(): Promise<Reach>
  /** The cache's own key of an id, for `cache.invalidate` of many kinds at once. */
  keyOf(id: Id): CallKey
}

/** What a space needs of its cache, on stored keys. */
export interface StoredCache extends Pick<Cache, 'getOrSet' | 'peek'> {
  getMany<T>(
    keys: readonly string[],
    options?: CallOptions & Pick<GetOrSetOptions, 'schema'>,
  ): Promise<ReadonlyMap<string, T>>
  set(key: string, value: unknown, options?: GetOrSetOptions & SetOptions): Promise<Reach>
  /** A memory hit. */
  answer(key: string): Promise<unknown> | undefined
  invalidate(keys: readonly string[]): Promise<Reach>
  expire(keys: readonly string[]): Promise<Reach>
  invalidateTag(tag: string): Promise<Reach>
}

export function createSpace<Id, T>(cache: StoredCache, options: SpaceOptions<Id, T>): Space<Id, T> {
  refuseUnknown(options, ['name', 'load', 'loadMany', 'key', 'tags', 'schema'], 'define')
  const { name: rawName, load, loadMany, key, tags, ...freshness } = options
  const name = readName(rawName, 'define')
  const own = spaceTag(name)
  const policy: GetOrSetOptions = {
    ...freshness,
    tags: Array.isArray(tags) ? [own, ...tags.map(plainKey)] : [own],
  }
  const tagsOf = typeof tags === 'function' ? tags : undefined
  const keyOf = (id: Id) => callKey(name, key ? key(id) : [id])
  const read = (
    key: string,
    id: Id,
    from: (id: Id, context: LoadContext) => T | PromiseLike<T>,
    call?: CallOptions,
  ) =>
    cache.getOrSet<T>(
      key,
      async (context) => {
        const value = await from(id, context)
        if (tagsOf) context.tag(...tagsOf(value, id))
        return value
      },
      call?.signal ? { ...policy, signal: call.signal } : policy,
    )
  const { timeout } = readFreshness(freshness, DEFAULT_FRESHNESS, 'define')
  // One for all calls of getMany: those of one turn of the event loop share a call of loadMany.
  const batch = loadMany && new Batch(loadMany, timeout)
  const fromBatch = batch ? (id: Id) => batch.load(id) : load
  return {
    name,
    get: (id, call) => {
      const at = keyOf(id)
      // A hit needs no closures.
      const answer = call?.signal?.aborted ? undefined : cache.answer(at)
      return answer === undefined ? read(at, id, load, call) : (answer as Promise<T>)
    },
    keyOf: (id) => callKeyOf(name, key ? key(id) : [id]),
    peek: (id) => cache.peek<T>(keyOf(id)),
    getMany: async (ids, call) => {
      const found = await cache.getMany<T>([...new Set(ids.map(keyOf))], { ...call, schema: options.schema })
      return await Promise.all(
        ids.map((id) => {
          const at = keyOf(id)
          return found.has(at) ? (found.get(at) as T) : read(at, id, fromBatch, call)
        }),
      )
    },
    set: (id, value, more = {}) => {
      const extra = [...(tagsOf?.(value, id) ?? []), ...(more.tags ?? [])].map(plainKey)
      return cache.set(keyOf(id), value, { ...policy, ...more, tags: [...(policy.tags ?? []), ...extra] })
    },
    invalidate: (...ids) => cache.invalidate(ids.map(keyOf)),
    expire: (...ids) => cache.expire(ids.map(keyOf)),
    clear: () => cache.invalidateTag(own),
  }
}

/** The tag all values of a space carry; a user's own tags never start with a single `@`. */
export function spaceTag(name: string): string {
  return `@${name}`
}
