import type { Duration } from '@cays/core/duration'
import { type Freshness, type FreshnessOptions, readFreshness, refuseUnknown } from './options.ts'

/** What a loader is given. */
export interface LoadContext {
  /** Aborts when the load exceeds `timeout` or the cache closes. */
  readonly signal: AbortSignal
  /** Adds tags to the value being loaded. */
  tag(...tags: readonly string[]): void
  /** Sets this value's own ttl. */
  ttl(ttl: Duration): void
  /** Sets this value's own `grace`. */
  grace(grace: Duration): void
  /**
   * The value this load is to replace, if one past its ttl is still at hand: within `grace` or
   * `staleWhileRevalidate`, never one that was invalidated. Return it to give it a new life, for one when the
   * source answers 304 to its ETag.
   */
  readonly previous: { readonly value: unknown } | undefined
}

/** Gets the value from its source. Rejections reach the callers, unless `grace` has an older value. */
export type Loader<T> = (context: LoadContext) => T | PromiseLike<T>

export interface SetOptions extends FreshnessOptions {
  /** `invalidateTags` of any of these makes the value a miss. */
  readonly tags?: readonly string[] | undefined
}

export interface GetOrSetOptions extends SetOptions {
  /** Rejects this caller with `signal.reason`; a load that others share goes on. */
  readonly signal?: AbortSignal | undefined
}

/** How one value is loaded and kept. */
export interface Plan {
  readonly freshness: Freshness
  readonly tags: readonly string[]
}

const NO_TAGS: readonly string[] = []

export function planOf(options: GetOrSetOptions | undefined, defaults: Plan, subject: string): Plan {
  if (options === undefined) return defaults
  refuseUnknown(options, ['tags', 'signal'], subject)
  const freshness = readFreshness(options, defaults.freshness, subject)
  const tags = options.tags ?? NO_TAGS
  return { freshness, tags: defaults.tags.length > 0 ? [...defaults.tags, ...tags] : tags }
}

/** Milliseconds this value is fresh: its own or the plan's ttl, less the jitter. */
export function ttlOf(value: unknown, freshness: Freshness, own: number | undefined): number {
  const negative = value === null || value === undefined ? freshness.negativeTtl : undefined
  const ttl = own ?? negative ?? freshness.ttl
  return Math.max(1, ttl * (1 - freshness.jitter * Math.random()))
}

/** For how long past its ttl a value with this grace of its own, if any, may still be of use. */
export function staleFor(freshness: Freshness, own: number | undefined): number {
  return Math.max(freshness.staleWhileRevalidate, own ?? freshness.grace)
}
