import { deadline, delay, raceAbort } from '@cays/core/abort'
import { type Duration, parseDuration } from '@cays/core/duration'
import { messageOf } from '@cays/core/error'
import { encode } from './codec.ts'
import { pack } from './compression.ts'
import { type Consistency, compare } from './consistency.ts'
import { type Envelope, open, seal } from './envelope.ts'
import { CacheLoadError, CacheUsageError } from './errors.ts'
import { Failures } from './failures.ts'
import { type Fence, Fences } from './fences.ts'
import type { Fleet } from './fleet.ts'
import { Flight } from './flight.ts'
import { plainKey } from './key.ts'
import type { Entry, MemoryTier } from './memory-tier.ts'
import type { Freshness, Settings } from './options.ts'
import { earlyAtOf, type LoadContext, type Loader, type Plan, staleFor, ttlOf } from './plan.ts'
import type { Reading } from './redis-tier.ts'
import { misfitOf, type Schema, unfit } from './schema.ts'
import { CHECKS, LOADS } from './telemetry.ts'
import type { Timeline } from './timeline.ts'

export type Outcome = 'redis' | 'loaded' | 'stale' | 'failed'

/** How a value came out of Redis: what memory needs to judge it later. */
interface Arrival {
  readonly reading: Reading
  readonly fence: Fence
  readonly generation: number
  readonly confirmedUntil: number
  readonly sent: number
  readonly knows: number
  readonly freshness: Freshness
}

/** What clocks and round trips may add to the time that a value has left in Redis, in milliseconds. */
const EARLY_SLACK = 250

/** What a check grants an invalidation beyond the bound: a busy process hears of it late and serves nothing, too. */
const LATE = 500

/** A loaded value with what the loader said about it. */
interface Loaded {
  readonly value: unknown
  readonly ttl: number | undefined
  readonly grace: number | undefined
  /** Milliseconds the loader took. */
  readonly took: number
}

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
  readonly checks: Record<Consistency, number> = { same: 0, changed: 0, stale: 0, unknown: 0 }
  #checking = false
  readonly #flights = new Map<string, Flight>()
  readonly #memory: MemoryTier
  readonly #timeline: Timeline
  readonly #fleet: Fleet | undefined
  readonly #settings: Settings
  readonly #closing: AbortSignal
  readonly #observe: (outcome: Outcome) => void

  constructor(parts: {
    readonly memory: MemoryTier
    readonly timeline: Timeline
    readonly fleet: Fleet | undefined
    readonly settings: Settings
    readonly closing: AbortSignal
    readonly observe: (outcome: Outcome) => void
  }) {
    this.#memory = parts.memory
    this.#timeline = parts.timeline
    this.#fleet = parts.fleet
    this.#settings = parts.settings
    this.#closing = parts.closing
    this.#observe = parts.observe
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
      await this.#confirm(signal)
      const fresh = this.#memory.fresh(key)
      if (fresh) {
        this.#lookAfter(fresh, key, load, plan)
        return fresh.value
      }
      const standing = this.#trusted(key)
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
    if (check && !this.#checking) void this.#check(entry, key, load, plan)
  }

  async #check<T>(entry: Entry, key: string, load: Loader<T>, { freshness }: Plan): Promise<void> {
    this.#checking = true
    const found = await compare({
      value: entry.value,
      load: async () => {
        using limit = deadline(freshness.timeout, timedOut, this.#closing)
        const nothing = () => {}
        const context = {
          signal: limit.signal,
          tag: nothing,
          ttl: nothing,
          grace: nothing,
          previous: undefined,
        }
        return await raceAbort(
          run(() => load(context)),
          limit.signal,
        )
      },
      bound: () => delay(this.#settings.sync.maxStaleness + LATE, { signal: this.#closing, unref: true }),
      stands: () => this.#memory.standing(key) === entry && performance.now() < entry.freshUntil,
    })
    this.#checking = false
    this.checks[found]++
    if (CHECKS.active) {
      CHECKS.publish({ instance: this.#settings.name, attributes: { 'cache.check': found } })
    }
  }

  /** Memory or Redis; `undefined` when neither has a fresh value. */
  async read(key: string, signal: AbortSignal | undefined): Promise<unknown> {
    return (await this.readMany([key], signal)).get(key)
  }

  /** As {@link read}, in one round trip; holds only the keys that were found. */
  async readMany(
    keys: readonly string[],
    signal: AbortSignal | undefined,
    schema?: Schema | undefined,
  ): Promise<ReadonlyMap<string, unknown>> {
    await this.#confirm(signal)
    const found = new Map<string, unknown>()
    const missing: string[] = []
    for (const key of keys) {
      const entry = this.#memory.fresh(key) ?? this.#trustedFresh(key)
      if (entry) found.set(key, entry.value)
      else missing.push(key)
    }
    const fleet = this.#fleet
    if (!fleet?.usable || missing.length === 0) return found
    const fences = missing.map((key) => this.fences.open(key))
    const { generation, confirmedUntil } = this.#timeline
    const sent = performance.now()
    try {
      const readings = await raceAbort(fleet.tier.readMany(missing, this.#timeline.epoch), signal)
      for (const [i, key] of missing.entries()) {
        const reading = readings[i]
        const fence = fences[i]
        if (!reading || !fence || reading.state !== 'fresh') continue
        // Most values need nothing to be waited for, and a hundred turns of the event loop are not free.
        const opened = open(key, reading.raw, this.#settings.l2.maxEntryBytes)
        const envelope = opened instanceof Promise ? await opened : opened
        if (!envelope || (schema && (await misfitOf(schema, envelope.value)))) continue
        const knows = this.#timeline.applied
        if (envelope.tags.length > 0 && (await this.#refusedBelow(envelope, fleet)) > 0) continue
        if (this.#timeline.generation !== generation) continue
        const { freshness } = this.#settings
        this.#keepRead(key, envelope, { reading, fence, generation, confirmedUntil, sent, knows, freshness })
        this.#observe('redis')
        found.set(key, envelope.value)
      }
    } catch {
      signal?.throwIfAborted()
    } finally {
      for (const fence of fences) fence.close()
    }
    return found
  }

  async #confirm(signal: AbortSignal | undefined): Promise<void> {
    const fleet = this.#fleet
    if (!fleet) return
    fleet.feed.start()
    if (fleet.usable && !fleet.feed.confirmed) await raceAbort(fleet.feed.confirm(), signal)
  }

  /** An entry that nothing invalidated, if what is known of invalidations is recent or policy says to trust it. */
  #trusted(key: string): Entry | undefined {
    const entry = this.#memory.standing(key)
    if (!entry) return undefined
    const now = performance.now()
    const bounded = now < this.#timeline.confirmedUntil || now < entry.currentUntil
    return bounded || this.#settings.sync.onLost === 'serve' ? entry : undefined
  }

  #trustedFresh(key: string): Entry | undefined {
    const entry = this.#trusted(key)
    return entry && performance.now() < entry.freshUntil ? entry : undefined
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
    this.#fly(flight, load, plan)
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

  async #fly<T>(flight: Flight, load: Loader<T>, plan: Plan): Promise<unknown> {
    const failed = this.failures.get(flight.key)
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
        if (envelope) refused = await this.#refusedBelow(envelope, fleet)
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
      const arrival = { reading, fence: flight.fence, generation, confirmedUntil, sent, knows, freshness }
      if (reading.state === 'fresh') {
        if (envelope && refused === 0) {
          flight.tags = envelope.tags
          flight.knows = Math.max(knows, envelope.seq)
          this.#keepRead(key, envelope, arrival)
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
        this.#keepRead(key, envelope, arrival)
        flight.resolve(this.#stale(envelope.value))
        if (reading.state !== 'leased') return envelope
      } else if (envelope && past < graceOf(envelope, plan)) {
        this.#keepRead(key, envelope, arrival)
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
    this.failures.add(flight.key, error, left)
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
        this.#keep(flight, loaded, freshUntil, plan)
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
    const loaded = await this.#run(flight, load, plan, this.#trusted(flight.key))
    const ttl = ttlOf(loaded.value, plan.freshness, loaded.ttl)
    this.#keep(flight, loaded, performance.now() + ttl, plan)
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
    using limit = deadline(timeout, timedOut, this.#closing)
    const context: LoadContext = {
      signal: limit.signal,
      tag: (...tags) => {
        flight.tags = [...flight.tags, ...tags.map(plainKey)]
      },
      ttl: (own) => {
        ttl = durationOf(own, 'ttl')
      },
      grace: (own) => {
        grace = durationOf(own, 'grace')
      },
      previous: older && { value: older.value },
    }
    try {
      const work = async (): Promise<unknown> =>
        await raceAbort(
          run(() => load(context)),
          limit.signal,
        )
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
      if (!(error instanceof CacheUsageError)) this.failures.add(flight.key, error, errorBackoff)
      throw error
    }
  }

  /** Any moment of its freshness, for the share of values that is checked. */
  #checkAt(freshUntil: number): number {
    const { check } = this.#settings.sync
    if (check === 0 || Math.random() >= check) return freshUntil
    const now = performance.now()
    return now + Math.random() * (freshUntil - now)
  }

  #keep(flight: Flight, { value, grace, took }: Loaded, freshUntil: number, plan: Plan): void {
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

  #keepRead(key: string, envelope: Envelope, arrival: Arrival): void {
    const { reading, fence, generation, confirmedUntil, sent, knows, freshness } = arrival
    if (fence.voided) return
    const freshUntil = sent + (envelope.expires - reading.now)
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

  /** 0, or the sequence a value must know because one of its tags was invalidated there. */
  async #refusedBelow(envelope: Envelope, fleet: Fleet): Promise<number> {
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

/** What the loader throws at once is a rejection like any other. */
async function run<T>(load: () => T | PromiseLike<T>): Promise<T> {
  await undefined
  return await load()
}

/** For how long past its ttl a value may be served while a new one is slow or fails: its own grace, or the call's. */
function graceOf(older: { readonly grace: number | undefined } | undefined, plan: Plan): number {
  return older?.grace ?? plan.freshness.grace
}

function durationOf(own: Duration, name: string): number {
  const milliseconds = parseDuration(own)
  if (milliseconds === undefined)
    throw new CacheUsageError('CACHE_ERR_OPTION', `ctx.${name} takes a duration`)
  return milliseconds
}

function timedOut(): CacheLoadError {
  return new CacheLoadError(
    'CACHE_ERR_LOAD_TIMEOUT',
    'the value was not loaded within timeout; let the loader honour ctx.signal, or set grace',
  )
}
