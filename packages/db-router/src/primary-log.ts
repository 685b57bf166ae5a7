import { type Position, sameLog } from './lsn.ts'
import type { Sample } from './server.ts'

interface Mark {
  readonly position: Position
  readonly sentAt: number
}

/** Probes of the primary that are remembered: enough for two minutes at the default interval. */
const REMEMBERED = 128

/**
 * What is known of the primary's log over time. Answers two questions without asking a clock of any server:
 *
 * - Up to where must a replica be, to show every write acknowledged before a moment? A position taken from
 *   the primary after that moment. One question to the primary serves everybody who waits.
 * - How stale is a replica at most? As old as the newest mark it has replayed.
 */
export class PrimaryLog {
  readonly #marks: Mark[] = []
  readonly #ask: () => Promise<Sample>
  #clock = 0
  #covered = 0
  #latest: Position | undefined
  #running: { readonly since: number; readonly promise: Promise<Position | undefined> } | undefined
  #queued: { readonly promise: Promise<Position | undefined> } | undefined

  /** `ask` takes the primary's insert position now. */
  constructor(ask: () => Promise<Sample>) {
    this.#ask = ask
  }

  /** A moment: greater than every one before. */
  tick(): number {
    return ++this.#clock
  }

  /** The present moment, to be taken before a question is sent. */
  get clock(): number {
    return this.#clock
  }

  /** Takes in what the primary said to a question sent at moment `since`. */
  saw(sample: Sample, since: number): void {
    const newest = this.#marks.at(-1)
    const same = newest === undefined || sameLog(newest.position, sample.position)
    if (!same && newest.position.system === sample.position.system) {
      if (newest.position.timeline > sample.position.timeline) return
    }
    if (!same) this.#marks.length = 0
    if (since >= this.#covered || !this.#latest || !sameLog(this.#latest, sample.position)) {
      this.#covered = since
      this.#latest = sample.position
    }
    if (newest && same && sample.sentAt <= newest.sentAt) return
    this.#marks.push({ position: sample.position, sentAt: sample.sentAt })
    if (this.#marks.length > REMEMBERED) this.#marks.shift()
  }

  /**
   * A position that includes every write acknowledged up to moment `since`; `undefined` when the primary
   * cannot be asked. Without a question when one was answered since.
   */
  positionSince(since: number): Position | Promise<Position | undefined> {
    if (this.#latest && this.#covered >= since) return this.#latest
    if (this.#running && this.#running.since >= since) return this.#running.promise
    if (!this.#running) return this.#start()
    this.#queued ??= { promise: this.#running.promise.then(() => this.#start()) }
    return this.#queued.promise
  }

  /** Forgets positions of a timeline that is no longer the primary's. */
  forget(): void {
    this.#latest = undefined
    this.#covered = 0
  }

  /** `performance.now()` of the newest moment whose writes a replica at `position` has surely replayed. */
  freshAsOf(position: Position): number {
    for (let at = this.#marks.length - 1; at >= 0; at--) {
      const mark = this.#marks[at] as Mark
      if (mark.position.lsn <= position.lsn && sameLog(mark.position, position)) return mark.sentAt
    }
    return Number.NEGATIVE_INFINITY
  }

  /** The newest known position of the primary. */
  get head(): Position | undefined {
    return this.#marks.at(-1)?.position
  }

  async #start(): Promise<Position | undefined> {
    const since = this.#clock
    const promise = (async () => {
      try {
        const sample = await this.#ask()
        if (sample.role !== 'primary') return undefined
        this.saw(sample, since)
        return sample.position
      } catch {
        return undefined
      } finally {
        this.#running = undefined
        this.#queued = undefined
      }
    })()
    this.#running = { since, promise }
    return await promise
  }
}
