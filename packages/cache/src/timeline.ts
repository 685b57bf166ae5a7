/** More tag invalidations than this and the oldest are remembered only as "at most this sequence". */
const MAX_MARKERS = 10_000

/**
 * What this process knows of the namespace's history, and so what an entry is worth:
 *
 * - `epoch` and `applied`: every invalidation up to sequence `applied` of `epoch` has been carried out here.
 * - `confirmedUntil`: until when that knowledge counts as recent (monotonic ms): the bound of staleness.
 * - `generation`: entries of another generation are void; raising it empties the memory tier in O(1).
 * - `version`: rises with everything that may void entries other than by key, so that one comparison tells that
 *   an entry judged before is still as good.
 * - tag markers: an entry that knows the history up to sequence n is void when one of its tags was
 *   invalidated after n. No clock takes part. What was forgotten counts as invalidated.
 */
export class Timeline {
  epoch = ''
  applied = 0
  confirmedUntil: number
  generation = 0
  version = 0
  /** Sequence of the last tag invalidation: entries that know it need no look at their tags. */
  lastTagged = 0
  /** Set by every use; the feed stops asking Redis when nobody used the cache since it last looked. */
  used = false

  readonly #markers = new Map<string, number>()
  #floor = 0

  /** Without Redis this process is the whole fleet, and its knowledge is always recent. */
  constructor(alone: boolean) {
    this.confirmedUntil = alone ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
  }

  /** Everything cached so far is void. */
  flush(): void {
    this.generation++
    this.version++
  }

  /** A new epoch, or a gap in the feed that cannot be filled: nothing known before counts. */
  restart(epoch: string, seq: number): void {
    this.epoch = epoch
    this.applied = seq
    this.lastTagged = seq
    this.#floor = seq
    this.#markers.clear()
    this.flush()
  }

  mark(tag: string, seq: number): void {
    const known = this.#markers.get(tag)
    if (known !== undefined && known >= seq) return
    this.#markers.delete(tag)
    this.#markers.set(tag, seq)
    this.version++
    if (seq > this.lastTagged) this.lastTagged = seq
    if (this.#markers.size <= MAX_MARKERS) return
    for (const [oldest, at] of this.#markers) {
      this.#markers.delete(oldest)
      if (at > this.#floor) this.#floor = at
      break
    }
  }

  /** True when this process remembers every tag invalidation after `seq`. */
  remembers(seq: number): boolean {
    return seq >= this.#floor
  }

  /** Last known invalidation among `tags`; 0 when none is remembered. */
  lastOf(tags: readonly string[]): number {
    let last = 0
    for (const tag of tags) last = Math.max(last, this.#markers.get(tag) ?? 0)
    return last
  }
}
