import { LRUCache } from 'lru-cache'
import type { Timeline } from './timeline.ts'
import { sizeOfString, sizeOfValue } from './value-size.ts'

/** One value in this process. Times are monotonic milliseconds (`performance.now()`). */
export interface Entry {
  readonly value: unknown
  /** End of its ttl; the start of staleness. */
  freshUntil: number
  /** Until when the value is within the bound without the feed being confirmed again: it was current this recently. */
  readonly currentUntil: number
  readonly generation: number
  readonly tags: readonly string[]
  /** All tag invalidations up to this sequence are known not to concern it. */
  knows: number
}

/** Fixed cost of an entry: the LRU's slots, the map's slot and the object above. */
const OVERHEAD = 150

/** The first tier: an LRU bounded by items and by estimated bytes, judged against the {@link Timeline}. */
export class MemoryTier {
  readonly #entries: LRUCache<string, Entry>
  readonly #timeline: Timeline

  constructor(limits: { readonly maxItems: number; readonly maxBytes: number }, timeline: Timeline) {
    this.#timeline = timeline
    this.#entries = new LRUCache({ max: limits.maxItems, maxSize: limits.maxBytes })
  }

  /** The entry if it may be served as fresh now. This is the hot path: no allocation, one clock read. */
  fresh(key: string): Entry | undefined {
    this.#timeline.used = true
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const timeline = this.#timeline
    if (entry.generation !== timeline.generation) return undefined
    if (entry.knows < timeline.lastTagged && !this.#passesTags(entry)) return undefined
    const now = performance.now()
    if (now >= entry.freshUntil) return undefined
    if (now >= timeline.confirmedUntil && now >= entry.currentUntil) return undefined
    return entry
  }

  /** The entry if nothing invalidated it as far as is known, however old it is and whether confirmed or not. */
  standing(key: string): Entry | undefined {
    const entry = this.#entries.peek(key)
    if (entry === undefined || entry.generation !== this.#timeline.generation) return undefined
    return entry.knows >= this.#timeline.lastTagged || this.#passesTags(entry) ? entry : undefined
  }

  set(key: string, entry: Entry): void {
    const size = OVERHEAD + sizeOfString(key) + sizeOfValue(entry.value)
    this.#entries.set(key, entry, { size })
  }

  /** Past its ttl from now on, whatever it was. */
  expire(key: string): void {
    const entry = this.#entries.peek(key)
    if (entry) entry.freshUntil = Math.min(entry.freshUntil, performance.now())
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
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
