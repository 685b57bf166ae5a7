import type { Reach } from './fleet.ts'
import { type CallKey, callKey, callKeyOf, plainKey } from './key.ts'
import { type FreshnessOptions, readName, refuseUnknown } from './options.ts'
import type { GetOrSetOptions } from './plan.ts'
import type { Schema } from './schema.ts'
import { type StoredCache, spaceTag } from './space.ts'

export interface MemoizeOptions<Args extends readonly unknown[], T> extends FreshnessOptions {
  /** Part of every key: letters, digits, `_ . : -`. A function has no identity of its own to build keys from. */
  readonly name: string
  /** The plain data that identifies a call. @default all arguments */
  readonly key?: ((...args: Args) => readonly unknown[]) | undefined
  /** Tags of a value. */
  readonly tags?: readonly string[] | ((value: T, ...args: Args) => readonly string[]) | undefined
  /** What results must be, as a Standard Schema. See `GetOrSetOptions.schema`. */
  readonly schema?: Schema<T> | undefined
}

/** A function whose results are cached. */
export interface Memoized<Args extends readonly unknown[], T> {
  (...args: Args): Promise<T>
  /** The result in memory if it is fresh, without a promise. */
  peek(...args: Args): T | undefined
  /** The result of this call is wrong: nobody gets it again. */
  invalidate(...args: Args): Promise<Reach>
  /** The result of this call is old: the next call computes it anew. */
  expire(...args: Args): Promise<Reach>
  /** Invalidates the results of all calls. */
  clear(): Promise<Reach>
  /** The cache's own key of a call, for `cache.invalidate` of many at once. */
  keyOf(...args: Args): CallKey
}

export function memoizeWith<Args extends readonly unknown[], T>(
  cache: StoredCache,
  fn: (...args: Args) => T | PromiseLike<T>,
  options: MemoizeOptions<Args, T>,
): Memoized<Args, T> {
  refuseUnknown(options, ['name', 'key', 'tags', 'schema'], 'memoize')
  const { name: rawName, key, tags, ...freshness } = options
  const name = readName(rawName, 'memoize')
  const own = spaceTag(name)
  const policy: GetOrSetOptions = {
    ...freshness,
    tags: Array.isArray(tags) ? [own, ...tags.map(plainKey)] : [own],
  }
  const tagsOf = typeof tags === 'function' ? tags : undefined
  const keyOf = (...args: Args) => callKey(name, key ? key(...args) : args)
  const call = (...args: Args): Promise<T> => {
    const at = keyOf(...args)
    const answer = cache.answer(at)
    if (answer !== undefined) return answer as Promise<T>
    return cache.getOrSet<T>(
      at,
      async (context) => {
        const value = await fn(...args)
        if (tagsOf) context.tag(...tagsOf(value, ...args))
        return value
      },
      policy,
    )
  }
  return Object.assign(call, {
    keyOf: (...args: Args) => callKeyOf(name, key ? key(...args) : args),
    peek: (...args: Args) => cache.peek<T>(keyOf(...args)),
    invalidate: (...args: Args) => cache.invalidate([keyOf(...args)]),
    expire: (...args: Args) => cache.expire([keyOf(...args)]),
    clear: () => cache.invalidateTag(own),
  })
}
