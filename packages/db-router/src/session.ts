import type { Bookmark } from './bookmark.ts'
import { type Position, reaches, sameLog } from './lsn.ts'
import type { Server } from './server.ts'
import type { Topology } from './topology.ts'

/**
 * What one request, job or process has seen and must not see undone: its own writes, and with
 * `monotonic` also what it has read.
 */
export class Session {
  /** The replica this session reads from while it can; another may be behind what it has shown. */
  replica: Server | undefined
  readonly monotonic: boolean
  readonly #topology: Topology
  readonly #process: Session | undefined
  #since = 0
  #position: Position | undefined
  /** `performance.now()` of the last thing it must not see undone. */
  #seenAt = Number.NEGATIVE_INFINITY
  #written = 0

  /** `process` is what the whole process has written; only sessions inside it read monotonically. */
  constructor(topology: Topology, process: Session | undefined) {
    this.#topology = topology
    this.#process = process
    this.monotonic = process !== undefined
  }

  /** Writes of this session; those it continues from do not count. */
  get written(): number {
    return this.#written
  }

  /** A write was acknowledged, or may have happened. */
  wrote(): void {
    this.#written++
    this.saw()
    // A timer or another request of this process must see it too.
    this.#process?.wrote()
  }

  /** Something newer than any known position was shown. */
  saw(): void {
    this.#since = this.#topology.log.tick()
    this.#position = undefined
    this.#seenAt = performance.now()
  }

  /** It needs nothing newer than what there was so many milliseconds ago. */
  quietFor(milliseconds: number): boolean {
    return performance.now() - this.#seenAt >= milliseconds
  }

  /** Continues what another process did. */
  resume(bookmark: Bookmark): void {
    if (!bookmark.position) {
      this.saw()
      return
    }
    const fits = this.#topology.heardOf(bookmark.position)
    // Of another database: it says nothing about this one.
    if (fits === false) return
    // A question to the primary that is already under way may be older than the bookmark.
    if (this.#since > 0 || fits === undefined) this.saw()
    else this.#seen(bookmark.position)
  }

  #seen(position: Position): void {
    this.#seenAt = performance.now()
    this.#position = furthest(this.#position, position)
  }

  /**
   * The position a replica must have replayed before this session may read from it: `undefined` when any
   * will do, `'unknown'` when the primary cannot be asked.
   */
  floor(): Position | undefined | Promise<Position | 'unknown'> {
    const known = this.#position
    if (known) {
      if (this.#topology.isCurrent(known)) return known
      // Take one of the new timeline, which includes whatever of the old one survived.
      this.saw()
    }
    if (this.#since === 0) return undefined
    const since = this.#since
    const position = this.#topology.log.positionSince(since)
    if (position instanceof Promise) {
      return position.then((found) => {
        if (found && this.#since === since) this.#settle(found)
        return found ?? 'unknown'
      })
    }
    this.#settle(position)
    return position
  }

  /**
   * The position that a replica must have replayed to answer in the place of the one this session reads from, which may
   * have shown anything up to now.
   */
  floorElsewhere(): Position | undefined | Promise<Position | 'unknown'> {
    if (!this.monotonic || !this.replica) return this.floor()
    const { log } = this.#topology
    const position = log.positionSince(log.tick())
    return position instanceof Promise ? position.then((found) => found ?? 'unknown') : position
  }

  /** What to hand to the next process, without asking anybody. */
  bookmark(now: number = Date.now()): Bookmark {
    return { issued: now, position: this.#since === 0 ? this.#position : undefined }
  }

  /** Its floor without asking anybody; `'unknown'` when that needs a question to the primary. */
  get known(): Position | undefined | 'unknown' {
    if (this.#since > 0) return 'unknown'
    return this.#position
  }

  #settle(position: Position): void {
    this.#position = position
    this.#since = 0
  }
}

function furthest(one: Position | undefined, two: Position): Position {
  if (!one || two.timeline > one.timeline) return two
  return sameLog(one, two) && !reaches(one, two) ? two : one
}
