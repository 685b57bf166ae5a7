import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import type { Broker, EpochEnd, HistorySpec, Slice } from './broker.ts'
import { type Compression, encodeFrames, SharedFrames } from './frame.ts'
import { branchOf, isShared } from './position.ts'
import { type GapReason, type Position, RECOVERED } from './protocol.ts'
import { GAPS, REPAIRS, STALLS } from './telemetry.ts'

/*
 * One room as one node sees it: the heart of delivery.
 *
 * The broker numbers messages and keeps the newest. Its live flow may lose some (a subscriber that
 * reconnects, a dropped buffer); its history never does, except by trimming. The node follows the live
 * flow, notices every hole in the numbers, and reads what is missing once for all of its sockets.
 *
 * Invariants:
 * 1. `ring` holds the texts of [base, top] without a hole; `flushed <= top` is what live sockets were sent.
 * 2. A message enters the ring only when it follows `top` in the present epoch. Anything else starts a
 *    read (`resync`), during which live batches wait.
 * 3. A subscription is live (it gets every flush) or a cursor (it was sent everything up to `cursor`, and
 *    the rest comes from the ring when its socket has room). It is never both and never neither.
 * 4. Whenever a reader's position is not part of the room's past, or the past is trimmed, it is sent `gap`
 *    before anything else, then all that is left: from the point where its epoch ended, or from the oldest
 *    message kept. No hole is silent, and nothing that can be delivered is left out.
 */

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

export interface NodeRoomOptions {
  readonly key: string
  /** The name in frames; differs from the key for the user's own room. */
  readonly wire: string
  readonly spec: HistorySpec
  readonly broker: Broker
  readonly compression?: Compression | undefined
  /** The node's name in telemetry. */
  readonly instance: string
  /** Asks for a flush at the end of this turn of the event loop. */
  readonly dirty: (room: NodeRoom) => void
  /** For the node's own rooms: gets each text in order; no frames are built without sockets. */
  readonly listener?: (text: string) => void
}

/** Called with the position that the messages which follow continue from. */
export type Announce = (epoch: string, offset: number, recovered: 0 | 1 | 2 | 3) => void

interface Batch {
  readonly epoch: string
  readonly first: number
  readonly texts: readonly string[]
}

const MAX_WAITING_BATCHES = 1_000

export class NodeRoom {
  readonly key: string
  readonly #options: NodeRoomOptions
  readonly #name: string
  readonly #subscriptions = new Set<Subscription>()
  readonly #controller = new AbortController()
  #ready: Promise<void> | undefined
  #epoch = ''
  #top = 0
  #previous: readonly EpochEnd[] = []
  #ring: string[] = []
  #base = 1
  // Nothing below this offset is left in the history either.
  #floor = 1
  #touched = Date.now()
  #sync: Promise<void> | undefined
  #nextSync: Promise<void> | undefined
  #backfill: Promise<void> | undefined
  #waiting: Batch[] = []
  #overflowed = false
  #pending: string[] = []
  #flushed = 0
  #flushedEpoch = ''

  constructor(options: NodeRoomOptions) {
    this.#options = options
    this.key = options.key
    this.#name = JSON.stringify(options.wire)
  }

  get size(): number {
    return this.#subscriptions.size
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.#top }
  }

  /** Subscribes at the broker, then reads; with `history` the whole past at once, for those who come back. */
  start(history: boolean): Promise<void> {
    this.#ready ??= this.#start(history)
    return this.#ready
  }

  async #start(history: boolean): Promise<void> {
    await this.#options.broker.subscribe(this.key)
    await this.#resync(history ? 0 : undefined)
  }

  close(): void {
    this.#controller.abort()
  }

  /**
   * Adds a socket. Waits for whatever has to be read first, then calls `announce` and sends what the
   * socket misses, in the same turn as it becomes part of the room. Answers `undefined`, with nothing done,
   * when `wanted` says so by then.
   */
  async attach(
    member: Member,
    position: Position | undefined,
    announce: Announce,
    wanted: () => boolean,
  ): Promise<Subscription | undefined> {
    await this.start(position !== undefined)
    if (position) await this.#reach(position)
    if (!wanted() || this.#controller.signal.aborted) return undefined
    this.flush()
    const { start, reason } = position ? this.#continuation(position) : { start: this.#top }
    const subscription: Subscription = { room: this, member, live: false, cursor: start, epoch: this.#epoch }
    announce(
      this.#epoch,
      start,
      position === undefined ? RECOVERED.notAsked : reason === undefined ? RECOVERED.yes : RECOVERED[reason],
    )
    this.#subscriptions.add(subscription)
    this.pump(subscription)
    return subscription
  }

  detach(subscription: Subscription): void {
    this.#subscriptions.delete(subscription)
  }

  // Reads what it takes to continue from a position.
  async #reach(position: Position): Promise<void> {
    // Another node may simply be ahead of this one.
    if (!isShared(position, this.#state())) await this.refresh()
    await this.#fill(this.#continuation(position).from + 1)
  }

  // Where a reader goes on: `from` is the last message it shares with the room, `start` the point from
  // which the ring can serve it, `reason` why that is not the same as going on without a gap.
  #continuation(position: Position): { from: number; start: number; reason?: GapReason } {
    const shared = isShared(position, this.#state())
    const from = shared ? position.offset : branchOf(position, this.#state())
    const start = Math.max(from, this.#base - 1)
    if (!shared) return { from, start, reason: 'lost' }
    return start > from ? { from, start, reason: 'trimmed' } : { from, start }
  }

  #state() {
    return { epoch: this.#epoch, top: this.#top, previous: this.#previous }
  }

  receive(epoch: string, first: number, texts: readonly string[]): void {
    if (this.#sync || this.#epoch === '') {
      if (this.#waiting.length >= MAX_WAITING_BATCHES) {
        this.#waiting = []
        this.#overflowed = true
      } else this.#waiting.push({ epoch, first, texts })
    } else if (!this.#accept(epoch, first, texts)) {
      void this.#resync(this.#top)
    }
  }

  receiveEphemeral(text: string): void {
    if (this.#subscriptions.size === 0) return
    this.#pending.push(`["m",${this.#name},0,${text}]`)
    this.#options.dirty(this)
  }

  /** Reads what was missed; the read begins after this call. */
  refresh(): Promise<void> {
    if (this.#epoch === '') return this.start(false)
    if (!this.#sync) return this.#resync(this.#top)
    this.#nextSync ??= this.#sync.then(() => {
      this.#nextSync = undefined
      return this.#resync(this.#top)
    })
    return this.#nextSync
  }

  /** Periodic care: drops texts the history has outlived as well, and helps cursors whose read failed. */
  tend(now: number): void {
    if (this.#ring.length > 0 && now - this.#touched > this.#options.spec.ttl) this.#emptyRing()
    for (const subscription of this.#subscriptions) if (!subscription.live) this.pump(subscription)
  }

  #accept(epoch: string, first: number, texts: readonly string[]): boolean {
    if (epoch !== this.#epoch || first > this.#top + 1) return false
    for (let at = this.#top + 1 - first; at < texts.length; at++) this.#push(texts[at] ?? '')
    return true
  }

  #push(text: string): void {
    this.#top++
    this.#ring.push(text)
    // Trimmed in steps: shifting an array once per message would cost more than the message.
    const { size } = this.#options.spec
    if (this.#ring.length > size + 64) {
      this.#base += this.#ring.length - size
      this.#floor = this.#base
      this.#ring = this.#ring.slice(-size)
    }
    if (this.#subscriptions.size > 0) this.#pending.push(this.#message(this.#top, text))
    this.#options.listener?.(text)
    this.#touched = Date.now()
    this.#options.dirty(this)
  }

  #message(offset: number, text: string): string {
    return `["m",${this.#name},${offset},${text}]`
  }

  #resync(after: number | undefined): Promise<void> {
    this.#sync ??= this.#runSync(after).finally(() => {
      this.#sync = undefined
    })
    return this.#sync
  }

  async #runSync(after: number | undefined): Promise<void> {
    const { signal } = this.#controller
    for (let attempt = 0, rounds = 0; !signal.aborted; ) {
      try {
        this.#apply(...(await this.#read(rounds === 0 ? after : this.#top)))
      } catch {
        await delay(backoff(attempt++, { base: 100, cap: 2_000 }), { signal, unref: true }).catch(() => {})
        continue
      }
      if (!this.#takeWaiting(rounds++ === 0)) return
    }
  }

  // Live batches that came during a read. True when one of them shows that another read is needed: a batch
  // told before a read begins is part of what that read returns. An epoch that two reads do not know is
  // an echo of a server that has been replaced.
  #takeWaiting(firstRound: boolean): boolean {
    let again = this.#overflowed
    this.#overflowed = false
    for (const batch of this.#waiting.splice(0)) {
      if (this.#accept(batch.epoch, batch.first, batch.texts)) continue
      if (batch.epoch === this.#epoch) again = true
      else if (firstRound && !this.#previous.some((end) => end.epoch === batch.epoch)) again = true
    }
    return again
  }

  // Reads on from an offset, and from further back when the room's past turns out to have branched there.
  async #read(after: number | undefined): Promise<[slice: Slice, after: number | undefined]> {
    const { broker, spec } = this.#options
    let from = after
    for (;;) {
      const slice = await broker.read(this.key, spec, from)
      const branch = this.#epoch === '' ? from : this.#branch(slice)
      if (from === undefined || branch === undefined || branch >= from) return [slice, from]
      from = branch
    }
  }

  // The last message this room shares with what was read.
  #branch(slice: Slice): number {
    const known = { epoch: this.#epoch, offset: this.#top }
    return isShared(known, slice) ? known.offset : branchOf(known, slice)
  }

  #apply(slice: Slice, after: number | undefined): void {
    const start = slice.texts.length > 0 ? slice.first - 1 : slice.top
    const known = { epoch: this.#epoch, offset: this.#top }
    const lost = known.epoch !== '' && !isShared(known, slice)
    const trimmed = after !== undefined && start > after
    this.flush()
    this.#previous = slice.previous
    if (known.epoch === '' || lost || (trimmed && start > known.offset)) {
      this.#ring = []
      this.#top = start
      this.#base = start + 1
      this.#floor = trimmed || after === 0 ? this.#base : 1
      this.#epoch = slice.epoch
      if (known.epoch !== '') {
        const reason = lost ? 'lost' : 'trimmed'
        this.#pending.push(this.#gap(reason, start))
        if (GAPS.active) GAPS.publish({ instance: this.#options.instance, attributes: { reason } })
      }
    } else if (slice.epoch !== this.#epoch) {
      this.#epoch = slice.epoch
      this.#pending.push(this.#epochChange())
    }
    this.flush()
    this.#touched = Date.now()
    if (known.epoch !== '' && slice.texts.length > 0 && REPAIRS.active) {
      REPAIRS.publish({ instance: this.#options.instance, attributes: {} })
    }
    this.#accept(slice.epoch, slice.first, slice.texts)
  }

  #epochChange(): string {
    return `["epoch",${this.#name},${JSON.stringify(this.#epoch)}]`
  }

  #gap(reason: GapReason, offset: number): string {
    return `["gap",${this.#name},"${reason}",${JSON.stringify(this.#epoch)},${offset}]`
  }

  #emptyRing(): void {
    this.#ring = []
    this.#base = this.#top + 1
  }

  // Reads the whole history once, for every socket that needs more of it than the ring holds.
  async #fill(from: number): Promise<void> {
    if (from >= this.#base || from < this.#floor) return
    this.#backfill ??= this.#runFill().finally(() => {
      this.#backfill = undefined
    })
    await this.#backfill
  }

  async #runFill(): Promise<void> {
    const { broker, spec } = this.#options
    let slice = await broker.read(this.key, spec, 0)
    for (; slice.epoch !== this.#epoch; slice = await broker.read(this.key, spec, 0)) await this.refresh()
    // The ring may have moved on during the read; what does not touch it is of no use.
    if (
      slice.texts.length > 0 &&
      slice.first < this.#base &&
      slice.first + slice.texts.length >= this.#base
    ) {
      this.#ring = [...slice.texts.slice(0, this.#base - slice.first), ...this.#ring]
      this.#base = slice.first
    }
    this.#floor = this.#base
  }

  /** Sends what gathered in this turn: one buffer, one write per socket. */
  flush(): void {
    const pending = this.#pending
    if (pending.length > 0) {
      this.#pending = []
      const frames = new SharedFrames(pending, this.#options.compression)
      for (const subscription of this.#subscriptions) {
        if (!subscription.live) continue
        const frame = frames.for(subscription.member)
        if (!subscription.member.backlogged(frame.length, pending.length > 1)) {
          subscription.member.write(frame)
          continue
        }
        if (STALLS.active) STALLS.publish({ instance: this.#options.instance, attributes: {} })
        subscription.live = false
        subscription.cursor = this.#flushed
        subscription.epoch = this.#flushedEpoch
        subscription.member.stalled(subscription)
      }
    }
    this.#flushed = this.#top
    this.#flushedEpoch = this.#epoch
  }

  /** Sends a cursor what it misses, as far as its socket takes it; at the end it is live again. */
  pump(subscription: Subscription): void {
    if (!this.#subscriptions.has(subscription)) return
    this.flush()
    while (!subscription.live) {
      const { from, start, reason } = this.#continuation({
        epoch: subscription.epoch,
        offset: subscription.cursor,
      })
      if (from + 1 < this.#base && from + 1 >= this.#floor) {
        void this.#pumpAfterFill(subscription, from)
        return
      }
      if (reason) {
        subscription.member.write(encodeFrames([this.#gap(reason, start)]))
        subscription.cursor = start
        subscription.epoch = this.#epoch
      } else if (subscription.cursor === this.#top && subscription.epoch === this.#epoch) {
        subscription.live = true
      } else if (!this.#sendChunk(subscription)) {
        subscription.member.stalled(subscription)
        return
      }
    }
  }

  async #pumpAfterFill(subscription: Subscription, from: number): Promise<void> {
    try {
      await this.#fill(from + 1)
      this.pump(subscription)
    } catch {
      // Redis is away: the cursor stays, and the next look at the room tries again.
      subscription.member.stalled(subscription)
    }
  }

  #sendChunk(subscription: Subscription): boolean {
    const messages: string[] = []
    let size = 0
    let cursor = subscription.cursor
    if (subscription.epoch !== this.#epoch) messages.push(this.#epochChange())
    while (cursor < this.#top && size < 32_768) {
      const message = this.#message(cursor + 1, this.#ring[cursor + 1 - this.#base] ?? '')
      messages.push(message)
      size += message.length
      cursor++
    }
    const frame = encodeFrames(messages)
    if (subscription.member.backlogged(frame.length)) return false
    subscription.member.write(frame)
    subscription.cursor = cursor
    subscription.epoch = this.#epoch
    return true
  }
}
