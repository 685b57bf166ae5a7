import {
  type CachedManyOptions,
  type CachedOptions,
  type CacheOf,
  cached as decorateCached,
  cachedMany as decorateCachedMany,
  invalidates as decorateInvalidates,
  type Invalidation,
  type Method,
} from './decorators.ts'

export {
  type CachedManyOptions,
  type CachedOptions,
  type CacheOf,
  type Invalidation,
  keyOf,
} from './decorators.ts'
export type { CallKey } from './key.ts'

/** What the decorators here are: TypeScript's own kind, of `experimentalDecorators`. */
export type LegacyMethodDecorator = (
  target: object,
  name: string | symbol,
  descriptor: PropertyDescriptor,
) => void

/** As `cached` of `/decorators`, for `experimentalDecorators`. The types of the options are yours to annotate. */
export function cached<This extends object, Args extends unknown[], T>(
  cache: CacheOf<This>,
  options: CachedOptions<This, Args, T>,
): LegacyMethodDecorator {
  return legacy(decorateCached(cache, options))
}

/** As `cachedMany` of `/decorators`, for `experimentalDecorators`. */
export function cachedMany<This extends object, Id, T>(
  cache: CacheOf<This>,
  options: CachedManyOptions<This, Id, T>,
): LegacyMethodDecorator {
  return legacy(decorateCachedMany(cache, options))
}

/** As `invalidates` of `/decorators`, for `experimentalDecorators`. */
export function invalidates<This extends object, Args extends unknown[], Result>(
  cache: CacheOf<This>,
  what: (result: Result, ...args: Args) => Invalidation,
): LegacyMethodDecorator {
  return legacy(decorateInvalidates(cache, what))
}

function legacy<This, Args extends unknown[], Result>(
  decorate: (
    method: Method<This, Args, Result>,
    context: ClassMethodDecoratorContext<This, Method<This, Args, Result>>,
  ) => Method<This, Args, Result>,
): LegacyMethodDecorator {
  return (_target, _name, descriptor) => {
    const method: Method<This, Args, Result> = descriptor.value
    // The decorators beneath make no use of a context.
    descriptor.value = decorate(method, undefined as never)
  }
}
