import { type Compression, encodeFrames, SharedFrames } from './frame.ts'
import type { NodeRoom } from './node-room.ts'
import type { GapReason } from './protocol.ts'
import type { RoomLog } from './room-log.ts'
import { STALLS } from './telemetry.ts'

/** A socket, as a room sees it. */
export interface Member {
  /**
   * True when `bytes` more would exceed what may wait in memory for this socket. What cannot be divided
   * further is let through when nothing waits, however large.
   */
  backlogged(bytes: number, divisible?: boolean): boolean
  /** True when it reads frames compressed once for all. */
  readonly deflates: boolean
  write(frame: Buffer): void
  /** The subscription became a cursor: call {@link NodeRoom.pump} when the socket has drained. */
  stalled(subscription: Subscription): void
}

/** The place of one socket in one room. */
export interface Subscription {
  readonly room: NodeRoom
  readonly member: Member
  live: boolean
  cursor: number
  epoch: string
}

export interface RoomAudienceOptions {
  readonly log: RoomLog
  /** The room's name in frames. */
  readonly wire: string
  readonly compression: Compression | undefined
  /** The node's name in telemetry. */
  readonly instance: string
  /** Reads what the history holds from an offset on, and the log does not. */
  readonly fill: (from: number) => Promise<void>
}

// Characters of what a cursor is sent at once.
const CHUNK = 32_768

/**
 * The sockets of this node in one room, and what they were sent.
 *
 * Invariants:
 * 1. `flushed` is what live sockets were sent, at most the log's top.
 * 2. A subscription is live (it gets every flush) or a cursor (it was sent everything up to `cursor`, and
 *    the rest comes from the log when its socket has room). It is never both and never neither.
 */
export class RoomAudience {
  readonly #options: RoomAudienceOptions
  readonly #name: string
  readonly #subscriptions = new Set<Subscription>()
  #pending: string[] = []
  #flushed = 0
  #flushedEpoch = ''

  constructor(options: RoomAudienceOptions) {
    this.#options = options
    this.#name = JSON.stringify(options.wire)
  }

  get size(): number {
    return this.#subscriptions.size
  }

  /** From now on it belongs here; it is sent what it misses at once. */
  add(subscription: Subscription): void {
    this.#subscriptions.add(subscription)
    this.pump(subscription)
  }

  remove(subscription: Subscription): void {
    this.#subscriptions.delete(subscription)
  }

  /** The message joins what goes out with the next flush; an offset of 0 has no place in the order. */
  message(offset: number, text: string): void {
    if (this.#subscriptions.size > 0) this.#pending.push(this.#message(offset, text))
  }

  epoch(): void {
    this.#pending.push(this.#epochChange())
  }

  gap(reason: GapReason, offset: number): void {
    this.#pending.push(this.#gap(reason, offset))
  }

  /** Sends what gathered in this turn: one buffer, one write per socket. */
  flush(): void {
    const { log, compression, instance } = this.#options
    const pending = this.#pending
    if (pending.length > 0) {
      this.#pending = []
      const frames = new SharedFrames(pending, compression)
      for (const subscription of this.#subscriptions) {
        if (!subscription.live) continue
        const frame = frames.for(subscription.member)
        if (!subscription.member.backlogged(frame.length, pending.length > 1)) {
          subscription.member.write(frame)
          continue
        }
        if (STALLS.active) STALLS.publish({ instance, attributes: {} })
        subscription.live = false
        subscription.cursor = this.#flushed
        subscription.epoch = this.#flushedEpoch
        subscription.member.stalled(subscription)
      }
    }
    this.#flushed = log.top
    this.#flushedEpoch = log.epoch
  }

  /** Sends a cursor what it misses, as far as its socket takes it; at the end it is live again. */
  pump(subscription: Subscription): void {
    if (!this.#subscriptions.has(subscription)) return
    this.flush()
    const { log } = this.#options
    while (!subscription.live) {
      const { from, start, reason } = log.continuation({
        epoch: subscription.epoch,
        offset: subscription.cursor,
      })
      if (log.lacks(from + 1)) {
        void this.#pumpAfterFill(subscription, from)
        return
      }
      if (reason) {
        subscription.member.write(encodeFrames([this.#gap(reason, start)]))
        subscription.cursor = start
        subscription.epoch = log.epoch
      } else if (subscription.cursor === log.top && subscription.epoch === log.epoch) {
        subscription.live = true
      } else if (!this.#sendChunk(subscription)) {
        subscription.member.stalled(subscription)
        return
      }
    }
  }

  /** Helps cursors whose read failed. */
  tend(): void {
    for (const subscription of this.#subscriptions) if (!subscription.live) this.pump(subscription)
  }

  async #pumpAfterFill(subscription: Subscription, from: number): Promise<void> {
    try {
      await this.#options.fill(from + 1)
      this.pump(subscription)
    } catch {
      // Redis is away: the cursor stays, and the next look at the room tries again.
      subscription.member.stalled(subscription)
    }
  }

  #sendChunk(subscription: Subscription): boolean {
    const { log } = this.#options
    const messages: string[] = []
    let size = 0
    let cursor = subscription.cursor
    if (subscription.epoch !== log.epoch) messages.push(this.#epochChange())
    while (cursor < log.top && size < CHUNK) {
      const message = this.#message(cursor + 1, log.text(cursor + 1))
      messages.push(message)
      size += message.length
      cursor++
    }
    const frame = encodeFrames(messages)
    if (subscription.member.backlogged(frame.length)) return false
    subscription.member.write(frame)
    subscription.cursor = cursor
    subscription.epoch = log.epoch
    return true
  }

  #message(offset: number, text: string): string {
    return `["m",${this.#name},${offset},${text}]`
  }

  #epochChange(): string {
    return `["epoch",${this.#name},${JSON.stringify(this.#options.log.epoch)}]`
  }

  #gap(reason: GapReason, offset: number): string {
    return `["gap",${this.#name},"${reason}",${JSON.stringify(this.#options.log.epoch)},${offset}]`
  }
}
