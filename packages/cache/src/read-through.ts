import { deadline, raceAbort } from '@cays/core/abort'
import { Admission } from './admission.ts'
import { Checks } from './consistency.ts'
import { CacheLoadError, CacheUsageError } from './errors.ts'
import { Failures } from './failures.ts'
import { Fences } from './fences.ts'
import { Flight } from './flight.ts'
import { FlightLoads } from './flight-loads.ts'
import { ManyReads } from './many-reads.ts'
import type { Entry, MemoryTier } from './memory-tier.ts'
import { graceOf, type Loader, type Plan } from './plan.ts'
import type { Outcome, ReadParts } from './read-parts.ts'
import type { Timeline } from './timeline.ts'

/** What clocks and round trips may add to the time that a value has left in Redis, in milliseconds. */
const EARLY_SLACK = 250

/**
 * The read path past the memory hit. What it keeps, it keeps under these rules:
 *
 * 1. One load per key in this process: callers share a {@link Flight}; with Redis, one in the fleet: the flight
 *    loads only while it holds the key's lease.
 * 2. A value enters Redis only if its lease is still live, and every write to the key voids the lease. So
 *    whatever is in Redis was read from its source after the last write to its key.
 * 3. A value enters memory only if no write to its key reached this process while it was on its way (the
 *    fence), and with the generation and sequence known before it was read, so that later judgement is right.
 * 4. A caller never gets the result of a flight that began before an invalidation this process knew when the
 *    call came: writes to the key take the flight out of reach, writes to a tag are checked at the end.
 * 5. Without Redis's answer the flight loads alone. Its value counts for `maxStaleness` and until the feed, once
 *    it is back, has told everything that happened since.
 */
export class ReadThrough {
  readonly fences = new Fences()
  readonly failures = new Failures()
  readonly checks: Checks
  readonly many: ManyReads
  readonly #flights = new Map<string, Flight>()
  readonly #admission: Admission
  readonly #loads: FlightLoads
  readonly #memory: MemoryTier
  readonly #timeline: Timeline
  readonly #observe: (outcome: Outcome) => void

  constructor(parts: ReadParts) {
    this.#memory = parts.memory
    this.#timeline = parts.timeline
    this.#observe = parts.observe
    this.#admission = new Admission(parts)
    this.checks = new Checks(parts)
    this.many = new ManyReads({ ...parts, admission: this.#admission, fences: this.fences })
    this.#loads = new FlightLoads({ ...parts, admission: this.#admission, failures: this.failures })
  }

  get loading(): number {
    return this.#flights.size
  }

  /** A write to this key: what is on its way is not kept, and who comes now does not join it. */
  void(key: string): void {
    this.fences.void(key)
    this.#flights.delete(key)
    this.failures.delete(key)
  }

  /** Memory, Redis, loader, in this order. */
  async load<T>(key: string, load: Loader<T>, plan: Plan, signal: AbortSignal | undefined): Promise<unknown> {
    for (;;) {
      await this.#admission.confirm(signal)
      const fresh = this.#memory.fresh(key)
      if (fresh) {
        this.#lookAfter(fresh, key, load, plan)
        return fresh.value
      }
      const standing = this.#admission.trusted(key)
      const now = performance.now()
      if (standing && now < standing.freshUntil) return standing.value
      const past = standing ? now - standing.freshUntil : Number.POSITIVE_INFINITY
      const joined = this.#joinable(key)
      const flight = joined ?? this.#start(key, load, plan, 0)
      if (standing && past < plan.freshness.staleWhileRevalidate) return this.#stale(standing.value)
      const graceful = past < graceOf(standing, plan) ? standing : undefined
      const { lastTagged, generation } = this.#timeline
      try {
        const value = await this.#answer(flight, plan, graceful, signal)
        if (!joined || !this.#tooOld(flight, lastTagged, generation)) return value
      } catch (error) {
        signal?.throwIfAborted()
        if (!graceful || error instanceof CacheUsageError) throw error
        return this.#stale(graceful.value)
      }
    }
  }

  /** What a fresh value may need behind the back of its reader. */
  #lookAfter<T>(entry: Entry, key: string, load: Loader<T>, plan: Plan): void {
    const now = performance.now()
    if (now < entry.lookAt) return
    const left = entry.freshUntil - now
    const early = now >= entry.earlyAt
    const check = now >= entry.checkAt
    // Once is enough, here; in the other processes the lease sees to it.
    if (early) entry.earlyAt = entry.freshUntil
    if (check) entry.checkAt = entry.freshUntil
    entry.lookAt = Math.min(entry.earlyAt, entry.checkAt)
    if (early && !this.#joinable(key)) this.#start(key, load, plan, left + EARLY_SLACK)
    if (check) void this.checks.hold(entry, key, load, plan)
  }

  #joinable(key: string): Flight | undefined {
    const flight = this.#flights.get(key)
    if (!flight) return undefined
    const now = performance.now()
    // The bound holds for callers that join, too: a load must not be older than what is known.
    const recent = now < this.#timeline.confirmedUntil || now < flight.currentUntil
    return recent && flight.generation === this.#timeline.generation ? flight : undefined
  }

  /** Rule 4 for tags: what the caller knew when it joined counts, and the flight's tags are known only now. */
  #tooOld(flight: Flight, lastTagged: number, generation: number): boolean {
    if (flight.tags.length === 0 || lastTagged <= flight.knows) return false
    const timeline = this.#timeline
    if (timeline.generation !== generation || !timeline.remembers(flight.knows)) return true
    return timeline.lastOf(flight.tags) > flight.knows
  }

  #stale(value: unknown): unknown {
    this.#observe('stale')
    return value
  }

  async #answer(
    flight: Flight,
    plan: Plan,
    graceful: Entry | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (!graceful || plan.freshness.softTimeout >= plan.freshness.timeout) {
      return await raceAbort(flight.answer, signal)
    }
    const slow = new CacheLoadError('CACHE_ERR_LOAD_TIMEOUT', 'the load is slower than softTimeout')
    using limit = deadline(plan.freshness.softTimeout, () => slow, signal)
    return await raceAbort(flight.answer, limit.signal)
  }

  #start<T>(key: string, load: Loader<T>, plan: Plan, early: number): Flight {
    const flight = new Flight(key, this.fences.open(key), plan.tags, early)
    flight.knows = this.#timeline.applied
    flight.generation = this.#timeline.generation
    this.#flights.set(key, flight)
    this.#loads
      .fly(flight, load, plan)
      .then(
        (value) => flight.resolve(value),
        (error: unknown) => {
          this.#observe('failed')
          flight.reject(error)
        },
      )
      .finally(() => {
        flight.fence.close()
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      })
    return flight
  }
}
