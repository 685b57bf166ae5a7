import type { Duration } from '@cays/core/duration'
import { type Freshness, type FreshnessOptions, readFreshness, refuseUnknown } from './options.ts'
import type { Schema } from './schema.ts'

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
  /**
   * Of a `set`: rejects with `CACHE_ERR_TOO_LARGE`, and changes nothing, when the value is larger than
   * `l2.maxEntryBytes`. Else such a value stays in this process alone, and the others load their own. @default false
   */
  readonly mustFit?: boolean | undefined
}

/** How a value is loaded, checked and stored. */
export interface GetOrSetOptions extends Omit<SetOptions, 'mustFit'> {
  /**
   * What values must be. One in Redis that does not fit is loaded anew; one that the loader brings and that does
   * not fit rejects with `CACHE_ERR_SCHEMA`, unless `grace` has an older one.
   */
  readonly schema?: Schema | undefined
  /** Rejects this caller with `signal.reason`; a load that others share goes on. */
  readonly signal?: AbortSignal | undefined
}

/** How one value is loaded and kept. */
export interface Plan {
  readonly freshness: Freshness
  readonly tags: readonly string[]
  readonly schema: Schema | undefined
}

const NO_TAGS: readonly string[] = []

export function planOf(
  options: (GetOrSetOptions & SetOptions) | undefined,
  defaults: Plan,
  subject: 'getOrSet' | 'set',
): Plan {
  if (options === undefined) return defaults
  refuseUnknown(
    options,
    ['tags', 'schema', 'signal', ...(subject === 'set' ? (['mustFit'] as const) : [])],
    subject,
  )
  const freshness = readFreshness(options, defaults.freshness, subject)
  const tags = options.tags ?? NO_TAGS
  return { freshness, tags, schema: options.schema }
}

/** Milliseconds this value is fresh: its own or the plan's ttl, less the jitter. */
export function ttlOf(value: unknown, freshness: Freshness, own: number | undefined): number {
  const negative = value === null || value === undefined ? freshness.negativeTtl : undefined
  const ttl = own ?? negative ?? freshness.ttl
  return Math.max(1, ttl * (1 - freshness.jitter * Math.random()))
}

/** When a value that took so long to load is loaded anew though it is fresh. Vattani et al., VLDB 2015. */
export function earlyAtOf(freshUntil: number, took: number, { earlyRefresh }: Freshness): number {
  if (earlyRefresh === 0) return freshUntil
  return Math.floor(freshUntil + earlyRefresh * took * Math.log(1 - Math.random()))
}

/** For how long past its ttl a value with this grace of its own, if any, may still be of use. */
export function staleFor(freshness: Freshness, own: number | undefined): number {
  return Math.max(freshness.staleWhileRevalidate, own ?? freshness.grace)
}

/** For how long past its ttl a value may be served while a new one is slow or fails: its own grace, or the call's. */
export function graceOf(older: { readonly grace: number | undefined } | undefined, plan: Plan): number {
  return older?.grace ?? plan.freshness.grace
}
