import type { Write } from './redis-feed.ts'

/** How many keys or tags one replayed write carries. */
const CHUNK = 200

/**
 * Invalidations that Redis has yet to hear of. They only ever drop things, so they coalesce per key and need no
 * order among themselves; more than `limit` of them become one `clear`, which drops everything.
 */
export class PendingWrites {
  readonly #limit: number
  readonly #invalidate = new Set<string>()
  readonly #expire = new Set<string>()
  readonly #tags = new Set<string>()
  #clear = false

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#clear ? 1 : this.#invalidate.size + this.#expire.size + this.#tags.size
  }

  /** A `set` whose outcome is open is kept as an invalidation: the value may not be there, the old one must go. */
  add(write: Write): void {
    if (this.#clear) return
    if (write.kind === 'clear') {
      this.#becomeClear()
      return
    }
    const into = {
      invalidate: this.#invalidate,
      set: this.#invalidate,
      expire: this.#expire,
      tags: this.#tags,
    }[write.kind]
    for (const name of write.names) {
      if (write.kind === 'expire' && this.#invalidate.has(name)) continue
      if (into === this.#invalidate) this.#expire.delete(name)
      into.add(name)
    }
    if (this.size > this.#limit) this.#becomeClear()
  }

  /** Takes the next write out; put it back with `add` when it fails. */
  take(): Write | undefined {
    if (this.#clear) {
      this.#clear = false
      return { kind: 'clear', names: [] }
    }
    for (const [kind, names] of [
      ['tags', this.#tags],
      ['invalidate', this.#invalidate],
      ['expire', this.#expire],
    ] as const) {
      if (names.size === 0) continue
      const chunk = [...names].slice(0, CHUNK)
      for (const name of chunk) names.delete(name)
      return { kind, names: chunk }
    }
    return undefined
  }

  #becomeClear(): void {
    this.#clear = true
    for (const names of [this.#invalidate, this.#expire, this.#tags]) names.clear()
  }
}
