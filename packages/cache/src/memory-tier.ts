import { LRUCache } from 'lru-cache'
import type { Settings } from './options.ts'
import { S3Fifo } from './s3-fifo.ts'
import { READS } from './telemetry.ts'
import type { Timeline } from './timeline.ts'
import { sizeOfString, sizeOfValue } from './value-size.ts'

/** A value for this process, and what it takes to judge it. Times are milliseconds of `performance.now()`. */
export interface NewEntry {
  readonly value: unknown
  /** End of its ttl; the start of staleness. */
  readonly freshUntil: number
  /** When a reader loads it anew behind its back; `freshUntil` when none does. */
  readonly earlyAt: number
  /** When a reader has it held against its source; `freshUntil` when none does. */
  readonly checkAt: number
  /** Until when the value is within the bound without the feed being confirmed again: it was current this recently. */
  readonly currentUntil: number
  readonly generation: number
  /** Its own grace, in milliseconds; `undefined` leaves it to the reader's. */
  readonly grace: number | undefined
  readonly tags: readonly string[]
  /** All tag invalidations up to this sequence are known not to concern it. */
  readonly knows: number
}

/** One value in this process. */
export interface Entry extends NewEntry {
  freshUntil: number
  earlyAt: number
  checkAt: number
  /** The first of the two. */
  lookAt: number
  knows: number
  /** The timeline's version at which it was last found valid; -1 when it has to be judged anew. */
  checked: number
  /** The value as a promise, made by the first read that needs one and handed out to all. */
  promise: Promise<unknown> | undefined
}

/** What the tier needs of the map that bounds it. */
interface Bounded<V> {
  get(key: string): V | undefined
  peek(key: string): V | undefined
  set(key: string, value: V, options: { readonly size: number }): unknown
  delete(key: string): unknown
  clear(): void
  readonly size: number
  readonly calculatedSize: number
}

/** Fixed cost of an entry: the LRU's slots, the map's slot and the object above. */
const OVERHEAD = 150

/** Reads that may share one look at the clock when the event loop never turns between them. */
const READS_PER_LOOK = 64
/** A turn that takes longer than this is over: its end may have been lost with a test's fake timers. */
const LONGEST_TURN = 100

/**
 * The first tier: bounded by items and by estimated bytes, judged against the {@link Timeline}.
 *
 * A look at the clock costs as much as a hit, so hits share them: one turn of the event loop, or one millisecond
 * if turns are shorter, counts as one moment, for at most 64 reads.
 */
export class MemoryTier {
  readonly #entries: Bounded<Entry>
  readonly #timeline: Timeline
  readonly #onHit: () => void
  /** Whole milliseconds, as all times of entries: small integers, which V8 keeps in place. */
  #now = 0
  #readsLeft = 0
  #turnEnds = 0
  #watched = false
  #hits = 0
  readonly #turned = (): void => {
    this.#readsLeft = 0
    this.#turnEnds = 0
  }

  /** `onHit` is called while somebody listens to reads. */
  constructor(limits: Settings['l1'], timeline: Timeline, onHit: () => void) {
    this.#timeline = timeline
    this.#onHit = onHit
    const { maxItems, maxBytes, eviction } = limits
    this.#entries =
      eviction === 'lru' ? new LRUCache({ max: maxItems, maxSize: maxBytes }) : new S3Fifo(limits)
  }

  /** The entry if it may be served as fresh now. This is the hot path: no allocation, no look at the clock. */
  fresh(key: string): Entry | undefined {
    if (this.#readsLeft-- <= 0) this.#look()
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const timeline = this.#timeline
    const now = this.#now
    if (
      entry.checked !== timeline.version ||
      now >= entry.freshUntil ||
      (now >= timeline.confirmedUntil && now >= entry.currentUntil)
    ) {
      if (!this.#valid(entry)) return undefined
    }
    this.#hits++
    if (this.#watched) this.#onHit()
    return entry
  }

  /**
   * As {@link fresh}, as a promise; without allocation, too, from the second time on. Nothing when there is more
   * to do than to hand it out: see `earlyAt` and `checkAt`.
   */
  answer(key: string): Promise<unknown> | undefined {
    const entry = this.fresh(key)
    if (entry === undefined || this.#now >= entry.lookAt) return undefined
    entry.promise ??= Promise.resolve(entry.value)
    return entry.promise
  }

  /** As the hot path's comparison, from scratch and by the exact time. */
  #valid(entry: Entry): boolean {
    const timeline = this.#timeline
    if (entry.generation !== timeline.generation) return false
    if (entry.knows < timeline.lastTagged && !this.#passesTags(entry)) return false
    const now = performance.now()
    if (now >= entry.freshUntil) return false
    if (now >= timeline.confirmedUntil && now >= entry.currentUntil) return false
    entry.checked = timeline.version
    return true
  }

  #look(): void {
    const now = Math.floor(performance.now())
    this.#now = now
    this.#readsLeft = READS_PER_LOOK - 1
    this.#watched = READS.active
    this.#timeline.used = true
    if (now < this.#turnEnds) return
    this.#turnEnds = now + LONGEST_TURN
    setTimeout(this.#turned, 0).unref()
  }

  /** The entry if nothing invalidated it as far as is known, however old it is and whether confirmed or not. */
  standing(key: string): Entry | undefined {
    const entry = this.#entries.peek(key)
    if (entry === undefined || entry.generation !== this.#timeline.generation) return undefined
    return entry.knows >= this.#timeline.lastTagged || this.#passesTags(entry) ? entry : undefined
  }

  set(key: string, entry: NewEntry): void {
    const { value, generation, grace, tags, knows } = entry
    const size = OVERHEAD + sizeOfString(key) + sizeOfValue(value)
    this.#entries.set(
      key,
      {
        value,
        freshUntil: Math.floor(entry.freshUntil),
        earlyAt: Math.floor(entry.earlyAt),
        checkAt: Math.floor(entry.checkAt),
        lookAt: Math.floor(Math.min(entry.earlyAt, entry.checkAt)),
        currentUntil: Math.floor(entry.currentUntil),
        generation,
        grace,
        tags,
        knows,
        checked: -1,
        promise: undefined,
      },
      { size },
    )
  }

  /** Past its ttl from now on, whatever it was. */
  expire(key: string): void {
    const entry = this.#entries.peek(key)
    if (!entry) return
    entry.freshUntil = Math.min(entry.freshUntil, Math.floor(performance.now()))
    // The hot path's clock may still be short of this moment.
    entry.checked = -1
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** Reads answered since the start. */
  get hits(): number {
    return this.#hits
  }

  get items(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.calculatedSize
  }

  #passesTags(entry: Entry): boolean {
    if (entry.tags.length > 0) {
      if (!this.#timeline.remembers(entry.knows)) return false
      if (this.#timeline.lastOf(entry.tags) > entry.knows) return false
    }
    // Not up to `lastTagged`: a change may have overtaken others that are still to come.
    entry.knows = Math.max(entry.knows, this.#timeline.applied)
    return true
  }
}
