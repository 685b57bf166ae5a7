import type { EpochEnd, Slice } from './broker.ts'
import { branchOf, isShared } from './position.ts'
import type { GapReason, Position } from './protocol.ts'

/** Where a reader goes on. */
export interface Continuation {
  /** The last message the reader shares with the room. */
  readonly from: number
  /** The point from which the log can serve it. */
  readonly start: number
  /** Why that is not the same as going on without a gap. */
  readonly reason?: GapReason
}

/**
 * What a node knows of a room's past: its epochs, and the texts of the newest messages, those from `base` to `top`
 * without a hole.
 */
export class RoomLog {
  readonly #size: number
  #epoch = ''
  #top = 0
  #previous: readonly EpochEnd[] = []
  #texts: string[] = []
  #base = 1
  // Nothing below this offset is left in the history either.
  #floor = 1

  constructor(size: number) {
    this.#size = size
  }

  /** Empty until the room was read. */
  get epoch(): string {
    return this.#epoch
  }

  get top(): number {
    return this.#top
  }

  get previous(): readonly EpochEnd[] {
    return this.#previous
  }

  /** Offset of the oldest text; one above the top when there is none. */
  get base(): number {
    return this.#base
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.#top }
  }

  text(offset: number): string {
    return this.#texts[offset - this.#base] ?? ''
  }

  /** True when the history may hold messages from this offset on that the log does not. */
  lacks(offset: number): boolean {
    return offset < this.#base && offset >= this.#floor
  }

  isShared(position: Position): boolean {
    return isShared(position, this)
  }

  continuation(position: Position): Continuation {
    const shared = this.isShared(position)
    const from = shared ? position.offset : branchOf(position, this)
    const start = Math.max(from, this.#base - 1)
    if (!shared) return { from, start, reason: 'lost' }
    return start > from ? { from, start, reason: 'trimmed' } : { from, start }
  }

  /** The last message this room shares with what was read of it; `undefined` before anything was. */
  branch(slice: Slice): number | undefined {
    if (this.#epoch === '') return undefined
    return isShared(this.position, slice) ? this.#top : branchOf(this.position, slice)
  }

  append(text: string): void {
    this.#top++
    this.#texts.push(text)
    // Trimmed in steps: shifting an array once per message would cost more than the message.
    if (this.#texts.length <= this.#size + 64) return
    this.#base += this.#texts.length - this.#size
    this.#floor = this.#base
    this.#texts = this.#texts.slice(-this.#size)
  }

  /**
   * Takes the state of the room from what was read after an offset; its texts are still to be appended. Answers how the
   * log went on: as before, under another epoch, or after a gap, which begins anew.
   */
  renew(slice: Slice, after: number | undefined): 'same' | 'epoch' | GapReason {
    const start = slice.texts.length > 0 ? slice.first - 1 : slice.top
    const lost = this.#epoch !== '' && !isShared(this.position, slice)
    const trimmed = after !== undefined && start > after
    this.#previous = slice.previous
    if (this.#epoch === '' || lost || (trimmed && start > this.#top)) {
      const first = this.#epoch === ''
      this.#texts = []
      this.#top = start
      this.#base = start + 1
      this.#floor = trimmed || after === 0 ? this.#base : 1
      this.#epoch = slice.epoch
      return first ? 'same' : lost ? 'lost' : 'trimmed'
    }
    if (slice.epoch === this.#epoch) return 'same'
    this.#epoch = slice.epoch
    return 'epoch'
  }

  /** Puts the whole history before what is there. What does not touch it is of no use: the log has moved on. */
  prepend(history: Slice): void {
    const { first, texts } = history
    if (texts.length > 0 && first < this.#base && first + texts.length >= this.#base) {
      this.#texts = [...texts.slice(0, this.#base - first), ...this.#texts]
      this.#base = first
    }
    this.#floor = this.#base
  }

  /** Lets go of the texts; the history has outlived them, or can be read again. */
  empty(): void {
    this.#texts = []
    this.#base = this.#top + 1
  }
}
