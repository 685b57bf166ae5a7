import { delay } from '@cays/core/abort'
import { type Duration, parseDuration } from '@cays/core/duration'
import { messageOf } from '@cays/core/error'
import type { Admission, Loaded } from './admission.ts'
import { encode } from './codec.ts'
import { pack } from './compression.ts'
import { type Envelope, open, seal } from './envelope.ts'
import { CacheLoadError, CacheUsageError } from './errors.ts'
import type { Failures } from './failures.ts'
import type { Fleet } from './fleet.ts'
import type { Flight } from './flight.ts'
import { plainKey } from './key.ts'
import { timedOut, withinTimeout } from './load-deadline.ts'
import type { Settings } from './options.ts'
import { type Loader, type Plan, staleFor, ttlOf } from './plan.ts'
import type { Outcome } from './read-through.ts'
import type { Reading } from './redis-tier.ts'
import { misfitOf, unfit } from './schema.ts'
import { LOADS } from './telemetry.ts'
import type { Timeline } from './timeline.ts'
import { OVERSIZE, type Warnings } from './warnings.ts'

/** How a flight gets its value: rules 1, 2 and 5 of the read path. */
export class FlightLoads {
  readonly #admission: Admission
  readonly #failures: Failures
  readonly #timeline: Timeline
  readonly #fleet: Fleet | undefined
  readonly #settings: Settings
  readonly #warnings: Warnings
  readonly #closing: AbortSignal
  readonly #observe: (outcome: Outcome) => void

  constructor(parts: {
    readonly admission: Admission
    readonly failures: Failures
    readonly timeline: Timeline
    readonly fleet: Fleet | undefined
    readonly settings: Settings
    readonly warnings: Warnings
    readonly closing: AbortSignal
    readonly observe: (outcome: Outcome) => void
  }) {
    this.#admission = parts.admission
    this.#failures = parts.failures
    this.#timeline = parts.timeline
    this.#fleet = parts.fleet
    this.#settings = parts.settings
    this.#warnings = parts.warnings
    this.#closing = parts.closing
    this.#observe = parts.observe
  }

  /** The value of the key: out of Redis, from another process or from the loader. */
  async fly<T>(flight: Flight, load: Loader<T>, plan: Plan): Promise<unknown> {
    const failed = this.#failures.get(flight.key)
    if (failed) throw failed.error
    const fleet = this.#fleet
    if (fleet?.usable && fleet.feed.confirmed) {
      const shared = await this.#shared(flight, load, plan, fleet)
      if (shared) return shared.value
    }
    return await this.#alone(flight, load, plan)
  }

  /** With the fleet: `undefined` when Redis stopped answering, before any load began here. */
  async #shared<T>(
    flight: Flight,
    load: Loader<T>,
    plan: Plan,
    fleet: Fleet,
  ): Promise<{ readonly value: unknown } | undefined> {
    const { key } = flight
    const token = fleet.tier.newToken()
    const { early } = flight
    const giveUp = flight.startedAt + plan.freshness.timeout
    let atLeast = 0
    for (;;) {
      const { generation, confirmedUntil } = this.#timeline
      const sent = performance.now()
      let reading: Reading
      let envelope: Envelope | undefined
      let refused = 0
      let knows = 0
      try {
        reading = await fleet.tier.read(key, this.#timeline.epoch, token, atLeast, early)
        if (reading.raw !== '') envelope = await open(key, reading.raw, this.#settings.l2.maxEntryBytes)
        knows = this.#timeline.applied
        if (envelope) refused = await this.#admission.refusedBelow(envelope, fleet)
      } catch {
        return undefined
      }
      // Judged by what is known of another epoch, or of no epoch at all, a value means nothing: ask again.
      if (this.#timeline.generation !== generation && performance.now() < giveUp) continue
      if (envelope && (await misfitOf(plan.schema, envelope.value))) {
        // Asked for something newer than itself, it is as good as gone.
        if (reading.state === 'fresh' && atLeast <= envelope.seq) {
          atLeast = envelope.seq + 1
          continue
        }
        envelope = undefined
      }
      const { freshness } = plan
      const arrival = { generation, confirmedUntil, sent, freshness }
      const keep = (read: Envelope) => {
        if (!flight.fence.voided) this.#admission.keepRead(key, read, reading.now, knows, arrival)
      }
      if (reading.state === 'fresh') {
        if (envelope && refused === 0) {
          flight.tags = envelope.tags
          flight.knows = Math.max(knows, envelope.seq)
          keep(envelope)
          this.#observe('redis')
          return envelope
        }
        // A value of another key or version can only be loaded around; one that a tag voids is asked for anew.
        if (!envelope || atLeast >= refused) return undefined
        atLeast = refused
        continue
      }
      const past = envelope && refused === 0 ? reading.now - envelope.expires : Number.POSITIVE_INFINITY
      if (envelope && past < 0) {
        // Fresh, and with the lease to load it early: whoever joined has the value at once.
        flight.resolve(envelope.value)
      } else if (envelope && past < plan.freshness.staleWhileRevalidate) {
        keep(envelope)
        flight.resolve(this.#stale(envelope.value))
        if (reading.state !== 'leased') return envelope
      } else if (envelope && past < graceOf(envelope, plan)) {
        keep(envelope)
        if (reading.state === 'failed') return { value: this.#stale(envelope.value) }
      }
      if (reading.state === 'leased') {
        const older = refused === 0 ? envelope : undefined
        return await this.#leased(flight, load, plan, fleet, token, older, past)
      }
      if (reading.state === 'failed') throw this.#failedElsewhere(flight, reading)
      const waited = performance.now() - flight.startedAt
      if (envelope && past < graceOf(envelope, plan) && waited >= plan.freshness.softTimeout) {
        return { value: this.#stale(envelope.value) }
      }
      if (performance.now() >= giveUp) throw timedOut()
      await delay(Math.min(40, Math.max(5, waited / 8)), { signal: this.#closing })
    }
  }

  #failedElsewhere(flight: Flight, reading: Reading): CacheLoadError {
    const { message = '', left = 0 } = reading.failure ?? {}
    const error = new CacheLoadError(
      'CACHE_ERR_LOAD_BACKOFF',
      'the loader failed a moment ago in another process; call again after errorBackoff',
      { cause: new Error(message) },
    )
    this.#failures.add(flight.key, error, left)
    return error
  }

  /** Holding the lease: load, keep the lease alive meanwhile, store only if it still is. */
  async #leased<T>(
    flight: Flight,
    load: Loader<T>,
    plan: Plan,
    fleet: Fleet,
    token: string,
    older: Envelope | undefined,
    past: number,
  ): Promise<{ readonly value: unknown }> {
    const { key } = flight
    const { tier } = fleet
    const graceful = past < graceOf(older, plan) ? older : undefined
    const renewing = setInterval(() => {
      tier.renew(key, token).then(
        (live) => {
          if (!live) clearInterval(renewing)
        },
        () => {},
      )
    }, this.#settings.l2.lease / 3)
    await fleet.feed.remember(flight.tags)
    const { epoch } = this.#timeline
    try {
      // Grace on a slow load: callers get the older value, the load goes on.
      const soft =
        graceful && plan.freshness.softTimeout < plan.freshness.timeout
          ? setTimeout(() => flight.resolve(this.#stale(graceful.value)), plan.freshness.softTimeout)
          : undefined
      let loaded: Loaded
      let encoded: string | undefined
      try {
        loaded = await this.#run(flight, load, plan, older)
        encoded = await pack(encode(loaded.value), this.#settings.l2)
      } catch (error) {
        const backoff = error instanceof CacheUsageError ? 0 : plan.freshness.errorBackoff
        await tier.release(key, token, backoff, messageOf(error).slice(0, 500)).catch(() => {})
        if (graceful && !(error instanceof CacheUsageError)) return { value: this.#stale(graceful.value) }
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
      const body = encoded && seal(key, epoch, { seq, tags, grace, took }, encoded)
      if (await this.#fill(flight, fleet, token, { ttl, whole, body })) {
        this.#admission.keep(flight, loaded, freshUntil, plan)
      }
      return loaded
    } finally {
      clearInterval(renewing)
    }
  }

  /** True when the value may be kept in memory, too. */
  async #fill(
    flight: Flight,
    fleet: Fleet,
    token: string,
    { ttl, whole, body }: { readonly ttl: number; readonly whole: number; readonly body: string | undefined },
  ): Promise<boolean> {
    const { key, tags } = flight
    try {
      if (body === undefined) {
        this.#warnings.warn('CACHE_WARN_ENTRY_BYTES', OVERSIZE)
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

  /** Without the fleet. */
  async #alone<T>(flight: Flight, load: Loader<T>, plan: Plan): Promise<unknown> {
    const loaded = await this.#run(flight, load, plan, this.#admission.trusted(flight.key))
    const ttl = ttlOf(loaded.value, plan.freshness, loaded.ttl)
    this.#admission.keep(flight, loaded, performance.now() + ttl, plan)
    return loaded.value
  }

  async #run<T>(
    flight: Flight,
    load: Loader<T>,
    plan: Plan,
    older: { readonly value: unknown } | undefined,
  ): Promise<Loaded> {
    flight.knows = this.#timeline.applied
    flight.generation = this.#timeline.generation
    flight.currentUntil = performance.now() + this.#settings.sync.maxStaleness
    const { timeout, errorBackoff } = plan.freshness
    let ttl: number | undefined
    let grace: number | undefined
    const context = {
      tag: (...tags: readonly string[]) => {
        flight.tags = [...flight.tags, ...tags.map(plainKey)]
      },
      ttl: (own: Duration) => {
        ttl = durationOf(own, 'ttl')
      },
      grace: (own: Duration) => {
        grace = durationOf(own, 'grace')
      },
      previous: older && { value: older.value },
    }
    try {
      const work = () => withinTimeout((signal) => load({ ...context, signal }), timeout, this.#closing)
      const began = performance.now()
      const value = await (LOADS.active
        ? LOADS.trace({ instance: this.#settings.name, attributes: {} }, work)
        : work())
      const took = performance.now() - began
      this.#observe('loaded')
      const misfit = await misfitOf(plan.schema, value)
      if (misfit) throw unfit(misfit)
      return { value, ttl, grace, took }
    } catch (error) {
      if (!(error instanceof CacheUsageError)) this.#failures.add(flight.key, error, errorBackoff)
      throw error
    }
  }

  #stale(value: unknown): unknown {
    this.#observe('stale')
    return value
  }
}

/** For how long past its ttl a value may be served while a new one is slow or fails: its own grace, or the call's. */
export function graceOf(older: { readonly grace: number | undefined } | undefined, plan: Plan): number {
  return older?.grace ?? plan.freshness.grace
}

function durationOf(own: Duration, name: string): number {
  const milliseconds = parseDuration(own)
  if (milliseconds === undefined)
    throw new CacheUsageError('CACHE_ERR_OPTION', `ctx.${name} takes a duration`)
  return milliseconds
}
