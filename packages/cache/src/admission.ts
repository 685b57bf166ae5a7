import { raceAbort } from '@cays/core/abort'
import type { Envelope } from './envelope.ts'
import type { Fleet } from './fleet.ts'
import type { Flight } from './flight.ts'
import type { Entry, MemoryTier } from './memory-tier.ts'
import type { Freshness, Settings } from './options.ts'
import { earlyAtOf, type Plan } from './plan.ts'
import type { Timeline } from './timeline.ts'

/** How values came out of Redis: what memory needs to judge them later. */
export interface Arrival {
  readonly generation: number
  readonly confirmedUntil: number
  readonly sent: number
  readonly freshness: Freshness
}

/** A loaded value with what the loader said about it. */
export interface Loaded {
  readonly value: unknown
  readonly ttl: number | undefined
  readonly grace: number | undefined
  /** Milliseconds the loader took. */
  readonly took: number
}

/** What may enter memory, what counts there, and what of Redis may be believed: rules 3 and 5 of the read path. */
export class Admission {
  readonly #memory: MemoryTier
  readonly #timeline: Timeline
  readonly #fleet: Fleet | undefined
  readonly #settings: Settings

  constructor(parts: {
    readonly memory: MemoryTier
    readonly timeline: Timeline
    readonly fleet: Fleet | undefined
    readonly settings: Settings
  }) {
    this.#memory = parts.memory
    this.#timeline = parts.timeline
    this.#fleet = parts.fleet
    this.#settings = parts.settings
  }

  /** Catches up with the fleet, unless that is recent. */
  async confirm(signal: AbortSignal | undefined): Promise<void> {
    const fleet = this.#fleet
    if (!fleet) return
    fleet.feed.start()
    if (fleet.usable && !fleet.feed.confirmed) await raceAbort(fleet.feed.confirm(), signal)
  }

  /** An entry that nothing invalidated, if what is known of invalidations is recent or policy says to trust it. */
  trusted(key: string): Entry | undefined {
    const entry = this.#memory.standing(key)
    if (!entry) return undefined
    const now = performance.now()
    const bounded = now < this.#timeline.confirmedUntil || now < entry.currentUntil
    return bounded || this.#settings.sync.onLost === 'serve' ? entry : undefined
  }

  /** As `trusted`, if it is fresh. */
  trustedFresh(key: string): Entry | undefined {
    const entry = this.trusted(key)
    return entry && performance.now() < entry.freshUntil ? entry : undefined
  }

  /** A value that was loaded here. */
  keep(flight: Flight, { value, grace, took }: Loaded, freshUntil: number, plan: Plan): void {
    if (flight.fence.voided) return
    this.#memory.set(flight.key, {
      value,
      grace,
      freshUntil,
      earlyAt: earlyAtOf(freshUntil, took, plan.freshness),
      checkAt: this.#checkAt(freshUntil),
      currentUntil: flight.currentUntil,
      generation: flight.generation,
      tags: flight.tags,
      knows: flight.knows,
    })
  }

  /** A value that came from Redis, whose clock said `now`; no write to its key has reached this process meanwhile. */
  keepRead(key: string, envelope: Envelope, now: number, knows: number, arrival: Arrival): void {
    const { generation, confirmedUntil, sent, freshness } = arrival
    const freshUntil = sent + (envelope.expires - now)
    this.#memory.set(key, {
      value: envelope.value,
      freshUntil,
      earlyAt: earlyAtOf(freshUntil, envelope.took ?? 0, freshness),
      checkAt: this.#checkAt(freshUntil),
      // What Redis holds is as recent as what this process knows of tags and epochs, no more.
      currentUntil: confirmedUntil,
      generation,
      grace: envelope.grace,
      tags: envelope.tags,
      knows: Math.max(knows, envelope.seq),
    })
  }

  /** Any moment of its freshness, for the share of values that is checked. */
  #checkAt(freshUntil: number): number {
    const { check } = this.#settings.sync
    if (check === 0 || Math.random() >= check) return freshUntil
    const now = performance.now()
    return now + Math.random() * (freshUntil - now)
  }

  /** 0, or the sequence a value must know because one of its tags was invalidated there. */
  async refusedBelow(envelope: Envelope, fleet: Fleet): Promise<number> {
    if (envelope.tags.length === 0) return 0
    let last = this.#timeline.lastOf(envelope.tags)
    if (last <= envelope.seq && !this.#timeline.remembers(envelope.seq)) {
      last = await fleet.feed.lastOf(envelope.tags)
    }
    if (last <= envelope.seq) return 0
    if (last > this.#timeline.applied) await fleet.feed.confirm()
    return last
  }
}
