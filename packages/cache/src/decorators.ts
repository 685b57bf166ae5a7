import type { Cache } from './cache.ts'
import { type CallKey, callKeyOf } from './key.ts'
import type { Memoized, MemoizeOptions } from './memoize.ts'
import type { FreshnessOptions } from './options.ts'
import type { Space } from './space.ts'

export type { CallKey } from './key.ts'

/** The cache itself, or where the instance keeps it. */
export type CacheOf<This> = Cache | ((self: This) => Cache)

/** A method as decorators see it. */
export type Method<This, Args extends unknown[], Result> = (this: This, ...args: Args) => Result

/** What the decorators here are: they replace a method by one of the same type. */
export type MethodDecorator<This, Args extends unknown[], Result> = (
  method: Method<This, Args, Result>,
  context: ClassMethodDecoratorContext<This, Method<This, Args, Result>>,
) => Method<This, Args, Result>

export interface CachedOptions<This, Args extends unknown[], T> extends MemoizeOptions<Args, T> {
  /**
   * What sets instances apart: plain data such as a tenant's id. Without it all instances share their entries,
   * so the result must depend on the arguments alone.
   */
  readonly scope?: ((self: This) => unknown) | undefined
}

/**
 * Caches the results of an async method (TC39 decorators, TypeScript 5). Entries belong to `name`, not to the
 * class: give each method its own.
 *
 * ```ts
 * class Orders {
 *   constructor(readonly cache: Cache) {}
 *
 *   @cached((self: Orders) => self.cache, { name: 'orders.byId', ttl: '1m' })
 *   async byId(id: string) { … }
 * }
 * ```
 */
export function cached<This extends object, Args extends unknown[], T>(
  cache: CacheOf<This>,
  options: CachedOptions<This, Args, T>,
): MethodDecorator<This, Args, Promise<T>> {
  const { scope, key, ...rest } = options
  return (method) => {
    const perInstance = new WeakMap<object, Memoized<Args, T>>()
    return function (this: This, ...args: Args): Promise<T> {
      let memoized = perInstance.get(this)
      if (!memoized) {
        const identify = key ?? ((...given: Args) => given)
        memoized = cacheOf(cache, this).memoize((...given: Args) => method.apply(this, given), {
          ...rest,
          key: scope ? (...given: Args) => [{ scope: scope(this) }, ...identify(...given)] : identify,
        })
        perInstance.set(this, memoized)
      }
      return memoized(...args)
    }
  }
}

export interface CachedManyOptions<This, Id, T> extends FreshnessOptions {
  /** As of {@link cached}: a `@cached` method of one id and the same name shares the entries. */
  readonly name: string
  /** Tags of a value. */
  readonly tags?: readonly string[] | ((value: T, id: Id) => readonly string[]) | undefined
  /** As of {@link cached}. */
  readonly scope?: ((self: This) => unknown) | undefined
}

/**
 * Caches an async method that takes ids and returns one value per id in their order. It is called with the ids
 * that nobody in the fleet has or loads; calls made in the same turn of the event loop share it.
 */
export function cachedMany<This extends object, Id, T>(
  cache: CacheOf<This>,
  options: CachedManyOptions<This, Id, T>,
): MethodDecorator<This, [ids: readonly Id[]], Promise<T[]>> {
  const { scope, ...rest } = options
  return (method) => {
    const perInstance = new WeakMap<object, Space<Id, T>>()
    return function (this: This, ids: readonly Id[]): Promise<T[]> {
      let space = perInstance.get(this)
      if (!space) {
        const loadMany = (missing: readonly Id[]) => method.call(this, missing)
        space = cacheOf(cache, this).define<Id, T>({
          ...rest,
          load: async (id) => (await loadMany([id]))[0] as T,
          loadMany,
          ...(scope ? { key: (id: Id) => [{ scope: scope(this) }, id] } : {}),
        })
        perInstance.set(this, space)
      }
      return space.getMany(ids)
    }
  }
}

/** What a call made wrong: keys (strings of your own, or {@link keyOf} calls), tags, or both. */
export interface Invalidation {
  readonly keys?: readonly (string | CallKey)[] | undefined
  readonly tags?: readonly string[] | undefined
}

/**
 * Invalidates after the async method succeeded; its result waits until Redis has the invalidation, or has
 * failed to take it in time (then it is queued). A method that throws invalidates nothing.
 */
export function invalidates<This extends object, Args extends unknown[], Result>(
  cache: CacheOf<This>,
  what: (result: Result, ...args: Args) => Invalidation,
): MethodDecorator<This, Args, Promise<Result>> {
  return (method) =>
    async function (this: This, ...args: Args): Promise<Result> {
      const result = await method.apply(this, args)
      const { keys = [], tags = [] } = what(result, ...args)
      const target = cacheOf(cache, this)
      await Promise.all([target.invalidate(keys), target.invalidateTags(tags)])
      return result
    }
}

/** The key of one call of a decorated or memoized function, or of one id of a space, by its name. */
export function keyOf(name: string, ...args: readonly unknown[]): CallKey {
  return callKeyOf(name, args)
}

function cacheOf<This>(cache: CacheOf<This>, self: This): Cache {
  return typeof cache === 'function' ? cache(self) : cache
}
