import { messageOf } from '@cays/core/error'
import type { Loaded } from './admission.ts'
import type { Envelope, Packed } from './envelope.ts'
import { CacheUsageError } from './errors.ts'
import type { Fleet } from './fleet.ts'
import type { Flight } from './flight.ts'
import { runLoader } from './loader-run.ts'
import { graceOf, type Loader, type Plan, staleFor, ttlOf } from './plan.ts'
import type { LoadParts } from './read-parts.ts'
import { OVERSIZE } from './warnings.ts'

/** The lease on a key that this process holds, and what Redis had when it was given. */
export interface Lease {
  readonly fleet: Fleet
  readonly token: string
  /** A value past its time that nothing invalidated, and how long ago its time was, in milliseconds. */
  readonly older: Envelope | undefined
  readonly past: number
}

/** Holding the lease: load, keep the lease alive meanwhile, store only if it still is. */
export async function loadLeased<T>(
  parts: LoadParts,
  flight: Flight,
  load: Loader<T>,
  plan: Plan,
  { fleet, token, older, past }: Lease,
): Promise<{ readonly value: unknown }> {
  const { admission, envelopes, observe, settings, timeline } = parts
  const { key } = flight
  const { tier } = fleet
  const graceful = past < graceOf(older, plan) ? older : undefined
  const stale = (value: unknown) => {
    observe('stale')
    return value
  }
  const renewing = setInterval(() => {
    tier.renew(key, token).then(
      (live) => {
        if (!live) clearInterval(renewing)
      },
      () => {},
    )
  }, settings.l2.lease / 3)
  await fleet.feed.remember(flight.tags)
  const { epoch } = timeline
  try {
    // Grace on a slow load: callers get the older value, the load goes on.
    const soft =
      graceful && plan.freshness.softTimeout < plan.freshness.timeout
        ? setTimeout(() => flight.resolve(stale(graceful.value)), plan.freshness.softTimeout)
        : undefined
    let loaded: Loaded
    let packed: Packed | undefined
    try {
      loaded = await runLoader(parts, flight, load, plan, older)
      packed = await envelopes.pack(loaded.value)
    } catch (error) {
      const backoff = error instanceof CacheUsageError ? 0 : plan.freshness.errorBackoff
      const message = envelopes.sealFailure(key, messageOf(error).slice(0, 500))
      await tier.release(key, token, backoff, message).catch(() => {})
      if (graceful && !(error instanceof CacheUsageError)) return { value: stale(graceful.value) }
      throw error
    } finally {
      clearTimeout(soft)
    }
    const ttl = ttlOf(loaded.value, plan.freshness, loaded.ttl)
    const freshUntil = performance.now() + ttl
    const { grace } = loaded
    const took = plan.freshness.earlyRefresh > 0 ? Math.ceil(loaded.took) : undefined
    const { knows: seq, tags } = flight
    const whole = ttl + staleFor(plan.freshness, grace)
    const body = packed && envelopes.seal(key, epoch, { seq, tags, grace, took }, packed)
    if (await fill(parts, flight, fleet, token, { ttl, whole, body })) {
      admission.keep(flight, loaded, freshUntil, plan)
    }
    return loaded
  } finally {
    clearInterval(renewing)
  }
}

/** True when the value may be kept in memory, too. */
async function fill(
  { warnings }: LoadParts,
  { key, tags }: Flight,
  fleet: Fleet,
  token: string,
  { ttl, whole, body }: { readonly ttl: number; readonly whole: number; readonly body: string | undefined },
): Promise<boolean> {
  try {
    if (body === undefined) {
      warnings.warn('CACHE_WARN_ENTRY_BYTES', OVERSIZE)
      await fleet.tier.release(key, token, 0, '')
      return true
    }
    const kept = await fleet.tier.fill(key, token, Math.ceil(ttl), Math.ceil(whole), body)
    if (kept) void fleet.feed.remember(tags)
    return kept
  } catch {
    // Whether Redis took it is open. Memory may keep it: the feed tells of any write since (rule 5).
    return true
  }
}
