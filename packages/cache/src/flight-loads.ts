import { type Envelope, UNREADABLE } from './envelope.ts'
import { CacheLoadError } from './errors.ts'
import type { Fleet } from './fleet.ts'
import type { Flight } from './flight.ts'
import { loadLeased } from './leased-load.ts'
import { timedOut } from './load-deadline.ts'
import { runLoader } from './loader-run.ts'
import { graceOf, type Loader, type Plan, ttlOf } from './plan.ts'
import type { LoadParts } from './read-parts.ts'
import type { Reading } from './redis-tier.ts'
import { misfitOf } from './schema.ts'

/** How a flight gets its value: rules 1, 2 and 5 of the read path. */
export class FlightLoads {
  readonly #parts: LoadParts

  constructor(parts: LoadParts) {
    this.#parts = parts
  }

  /** The value of the key: out of Redis, from another process or from the loader. */
  async fly<T>(flight: Flight, load: Loader<T>, plan: Plan): Promise<unknown> {
    const { failures, fleet } = this.#parts
    const failed = failures.get(flight.key)
    if (failed) throw failed.error
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
    const { admission, closing, envelopes, observe, timeline } = this.#parts
    const { key, early } = flight
    const token = fleet.tier.newToken()
    const giveUp = flight.startedAt + plan.freshness.timeout
    let atLeast = 0
    for (;;) {
      const { generation, confirmedUntil } = timeline
      const sent = performance.now()
      let reading: Reading
      let envelope: Envelope | undefined
      let refused = 0
      let knows = 0
      try {
        reading = await fleet.tier.read(key, timeline.epoch, token, atLeast, early)
        if (reading.raw !== '') envelope = await envelopes.open(key, reading.raw)
        knows = timeline.applied
        if (envelope) refused = await admission.refusedBelow(envelope, fleet)
      } catch {
        return undefined
      }
      // Judged by what is known of another epoch, or of no epoch at all, a value means nothing: ask again.
      if (timeline.generation !== generation && performance.now() < giveUp) continue
      if (envelope && (envelope.value === UNREADABLE || (await misfitOf(plan.schema, envelope.value)))) {
        // Asked for something newer than itself, it is as good as gone.
        const newer = envelope.seq + 1
        if (reading.state === 'fresh' && newer > Math.max(atLeast, envelope.seq)) {
          atLeast = newer
          continue
        }
        envelope = undefined
      }
      const { freshness } = plan
      const arrival = { generation, confirmedUntil, sent, freshness }
      const keep = (read: Envelope) => {
        if (!flight.fence.voided) admission.keepRead(key, read, reading.now, knows, arrival)
      }
      if (reading.state === 'fresh') {
        if (envelope && refused === 0) {
          flight.tags = envelope.tags
          flight.knows = Math.max(knows, envelope.seq)
          keep(envelope)
          observe('redis')
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
        return await loadLeased(this.#parts, flight, load, plan, { fleet, token, older, past })
      }
      if (reading.state === 'failed') throw this.#failedElsewhere(flight, reading)
      const waited = performance.now() - flight.startedAt
      if (envelope && past < graceOf(envelope, plan) && waited >= plan.freshness.softTimeout) {
        return { value: this.#stale(envelope.value) }
      }
      if (performance.now() >= giveUp) throw timedOut()
      // The holder tells when it has ended; asking again is for when nobody hears of it.
      await fleet.feed.ends.wait(key, Math.min(40, Math.max(5, waited / 8)), closing)
    }
  }

  #failedElsewhere(flight: Flight, reading: Reading): CacheLoadError {
    const { envelopes, failures } = this.#parts
    const { message = '', left = 0 } = reading.failure ?? {}
    const error = new CacheLoadError(
      'CACHE_ERR_LOAD_BACKOFF',
      'the loader failed a moment ago in another process; call again after errorBackoff',
      { cause: new Error(envelopes.openFailure(flight.key, message)) },
    )
    failures.add(flight.key, error, left)
    return error
  }

  /** Without the fleet. */
  async #alone<T>(flight: Flight, load: Loader<T>, plan: Plan): Promise<unknown> {
    const { admission } = this.#parts
    const loaded = await runLoader(this.#parts, flight, load, plan, admission.trusted(flight.key))
    const ttl = ttlOf(loaded.value, plan.freshness, loaded.ttl)
    admission.keep(flight, loaded, performance.now() + ttl, plan)
    return loaded.value
  }

  #stale(value: unknown): unknown {
    this.#parts.observe('stale')
    return value
  }
}
