import type { Cache } from './cache.ts'
import type { Reach } from './fleet.ts'
import { callKey, plainKey } from './key.ts'
import { type FreshnessOptions, readName, refuseUnknown } from './options.ts'
import type { LoadContext, SetOptions } from './plan.ts'

type CallOptions = { readonly signal?: AbortSignal | undefined }

export interface SpaceOptions<Id, T> extends FreshnessOptions {
  /** Part of every key: letters, digits, `_ . : -`. */
  readonly name: string
  /** Loads the value of one id. */
  readonly load: (id: Id, context: LoadContext) => T | PromiseLike<T>
  /** The plain data that identifies an id. @default the id itself */
  readonly key?: ((id: Id) => unknown) | undefined
  /** Tags of a value. */
  readonly tags?: readonly string[] | ((value: T, id: Id) => readonly string[]) | undefined
}

/** Values of one kind: typed ids in place of string keys, one loader, one policy. */
export interface Space<Id, T> {
  readonly name: string
  get(id: Id, options?: CallOptions): Promise<T>
  peek(id: Id): T | undefined
  /** One value per id, in the order of the ids: one round trip for all that memory lacks, then the loader. */
  getMany(ids: readonly Id[], options?: CallOptions): Promise<T[]>
  set(id: Id, value: T, options?: SetOptions): Promise<Reach>
  invalidate(...ids: readonly Id[]): Promise<Reach>
  expire(...ids: readonly Id[]): Promise<Reach>
  /** Invalidates every value of this space. */
  clear(): Promise<Reach>
  /** The cache's own key of an id, for `cache.invalidate` of many kinds at once. */
  keyOf(id: Id): string
}

/** What a space needs of its cache, on stored keys. */
export type StoredCache = Pick<
  Cache,
  'getOrSet' | 'peek' | 'getMany' | 'set' | 'invalidate' | 'expire' | 'invalidateTags'
>

export function createSpace<Id, T>(cache: StoredCache, options: SpaceOptions<Id, T>): Space<Id, T> {
  refuseUnknown(options, ['name', 'load', 'key', 'tags'], 'define')
  const { name: rawName, load, key, tags, ...freshness } = options
  const name = readName(rawName, 'define')
  const own = spaceTag(name)
  const policy: SetOptions = {
    ...freshness,
    tags: Array.isArray(tags) ? [own, ...tags.map(plainKey)] : [own],
  }
  const tagsOf = typeof tags === 'function' ? tags : undefined
  const keyOf = (id: Id) => callKey(name, [key ? key(id) : id])
  const get = (id: Id, call?: CallOptions) =>
    cache.getOrSet<T>(
      keyOf(id),
      async (context) => {
        const value = await load(id, context)
        if (tagsOf) context.tag(...tagsOf(value, id))
        return value
      },
      call?.signal ? { ...policy, signal: call.signal } : policy,
    )
  return {
    name,
    get,
    keyOf,
    peek: (id) => cache.peek<T>(keyOf(id)),
    getMany: async (ids, call) => {
      const found = await cache.getMany<T>(ids.map(keyOf), call)
      return await Promise.all(
        ids.map((id) => {
          const at = keyOf(id)
          return found.has(at) ? (found.get(at) as T) : get(id, call)
        }),
      )
    },
    set: (id, value, more = {}) => {
      const extra = [...(tagsOf?.(value, id) ?? []), ...(more.tags ?? [])].map(plainKey)
      return cache.set(keyOf(id), value, { ...policy, ...more, tags: [...(policy.tags ?? []), ...extra] })
    },
    invalidate: (...ids) => cache.invalidate(ids.map(keyOf)),
    expire: (...ids) => cache.expire(ids.map(keyOf)),
    clear: () => cache.invalidateTags(own),
  }
}

/** The tag all values of a space carry; a user's own tags never start with a single `@`. */
export function spaceTag(name: string): string {
  return `@${name}`
}
