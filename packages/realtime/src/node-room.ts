import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import type { Broker, EpochEnd, HistorySpec, Slice } from './broker.ts'
import { encodeFrames } from './frame.ts'
import { isShared } from './position.ts'
import { type GapReason, type Position, RECOVERED } from './protocol.ts'

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
 *    before anything else. No hole is silent.
 */

/** A socket, as a room sees it. */
export interface Member {
  /** True when `bytes` more would exceed what may wait in memory for this socket. */
  backlogged(bytes: number): boolean
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
  lost: boolean
}

export interface NodeRoomOptions {
  readonly key: string
  /** The name in frames; differs from the key for the user's own room. */
  readonly wire: string
  readonly spec: HistorySpec
  readonly broker: Broker
  /** Asks for a flush at the end of this turn of the event loop. */
  readonly dirty: (room: NodeRoom) => void
  /** For the node's own rooms: gets each text in order; no frames are built without sockets. */
  readonly listener?: (text: string) => void
}

/** Called with the position that the messages which follow continue from. */
export type Announce = (epoch: string, offset: number, recovered: 0 | 1 | 2) => void

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
  #pendingGap = false
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
    const shared = position !== undefined && this.#canServe(position)
    const subscription: Subscription = {
      room: this,
      member,
      live: false,
      cursor: shared ? position.offset : this.#top,
      epoch: this.#epoch,
      lost: false,
    }
    announce(
      this.#epoch,
      subscription.cursor,
      position === undefined ? RECOVERED.notAsked : shared ? RECOVERED.yes : RECOVERED.no,
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
    if (isShared(position, this.#state()) && position.offset + 1 < this.#base) {
      await this.#fill(position.offset + 1)
    }
  }

  #canServe(position: Position): boolean {
    return isShared(position, this.#state()) && position.offset + 1 >= this.#base
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
    const { broker, spec } = this.#options
    const { signal } = this.#controller
    for (let attempt = 0, rounds = 0; !signal.aborted; ) {
      try {
        const from = rounds === 0 ? after : this.#top
        this.#apply(await broker.read(this.key, spec, from), from === 0)
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

  #apply(slice: Slice, whole: boolean): void {
    const known = { epoch: this.#epoch, offset: this.#top }
    if (known.epoch === '') {
      this.#enter(slice, whole)
      this.flush()
      return
    }
    const shared = isShared(known, slice)
    const complete = slice.top === known.offset || (slice.first > 0 && slice.first <= known.offset + 1)
    if (!shared || !complete) {
      this.#enter(slice, whole)
      this.#announceGap(shared ? 'trimmed' : 'lost')
      return
    }
    this.#previous = slice.previous
    if (slice.epoch !== this.#epoch) {
      this.#epoch = slice.epoch
      this.#pending.push(`["epoch",${this.#name},${JSON.stringify(slice.epoch)}]`)
      this.#options.dirty(this)
    }
    this.#accept(slice.epoch, slice.first, slice.texts)
  }

  // Takes the slice as the room's whole state.
  #enter(slice: Slice, whole: boolean): void {
    this.#epoch = slice.epoch
    this.#previous = slice.previous
    this.#top = slice.top
    this.#ring = [...slice.texts]
    this.#base = slice.top + 1 - slice.texts.length
    this.#floor = whole ? this.#base : 1
    this.#touched = Date.now()
  }

  #announceGap(reason: GapReason): void {
    // What waits to be sent is older than the gap and still true; the gap follows it.
    this.#pending.push(this.#gap(reason, this.#top))
    this.#pendingGap = true
    for (const subscription of this.#subscriptions) if (!subscription.live) subscription.lost = true
    // At once: until the flush, `flushed` belongs to the state that has just been replaced.
    this.flush()
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
    if (from < this.#floor) return
    this.#backfill ??= this.#runFill().finally(() => {
      this.#backfill = undefined
    })
    await this.#backfill
  }

  async #runFill(): Promise<void> {
    const { broker, spec } = this.#options
    const slice = await broker.read(this.key, spec, 0)
    if (slice.epoch !== this.#epoch) return await this.refresh()
    if (slice.texts.length === 0) {
      this.#floor = this.#base
      return
    }
    this.#floor = slice.first
    // The ring may have moved on during the read.
    if (slice.first >= this.#base || slice.first + slice.texts.length < this.#base) return
    this.#ring = [...slice.texts.slice(0, this.#base - slice.first), ...this.#ring]
    this.#base = slice.first
  }

  /** Sends what gathered in this turn: one buffer, one write per socket. */
  flush(): void {
    const pending = this.#pending
    if (pending.length > 0) {
      this.#pending = []
      const frame = encodeFrames(pending)
      for (const subscription of this.#subscriptions) {
        if (!subscription.live) continue
        if (!subscription.member.backlogged(frame.length)) {
          subscription.member.write(frame)
          continue
        }
        subscription.live = false
        subscription.cursor = this.#flushed
        subscription.epoch = this.#flushedEpoch
        subscription.lost = this.#pendingGap
        subscription.member.stalled(subscription)
      }
    }
    this.#pendingGap = false
    this.#flushed = this.#top
    this.#flushedEpoch = this.#epoch
  }

  /** Sends a cursor what it misses, as far as its socket takes it; at the end it is live again. */
  pump(subscription: Subscription): void {
    const { member } = subscription
    if (!this.#subscriptions.has(subscription)) return
    while (!subscription.live) {
      if (subscription.lost) this.#skip(subscription, 'lost')
      else if (subscription.cursor >= this.#flushed) subscription.live = true
      else if (subscription.cursor + 1 < this.#base) {
        if (subscription.cursor + 1 < this.#floor) this.#skip(subscription, 'trimmed')
        else {
          void this.#pumpAfterFill(subscription)
          return
        }
      } else if (!this.#sendChunk(subscription)) {
        member.stalled(subscription)
        return
      }
    }
  }

  async #pumpAfterFill(subscription: Subscription): Promise<void> {
    try {
      await this.#fill(subscription.cursor + 1)
      if (subscription.cursor + 1 < this.#base) this.#skip(subscription, 'trimmed')
      this.pump(subscription)
    } catch {
      // Redis is away: the cursor stays, and the next check of the room tries again.
      subscription.member.stalled(subscription)
    }
  }

  #skip(subscription: Subscription, reason: GapReason): void {
    subscription.member.write(encodeFrames([this.#gap(reason, this.#flushed)]))
    subscription.lost = false
    subscription.epoch = this.#flushedEpoch
    subscription.cursor = this.#flushed
  }

  #sendChunk(subscription: Subscription): boolean {
    const messages: string[] = []
    let size = 0
    let cursor = subscription.cursor
    if (subscription.epoch !== this.#flushedEpoch) {
      messages.push(`["epoch",${this.#name},${JSON.stringify(this.#flushedEpoch)}]`)
    }
    while (cursor < this.#flushed && size < 32_768) {
      const message = this.#message(cursor + 1, this.#ring[cursor + 1 - this.#base] ?? '')
      messages.push(message)
      size += message.length
      cursor++
    }
    const frame = encodeFrames(messages)
    if (subscription.member.backlogged(frame.length)) return false
    subscription.member.write(frame)
    subscription.cursor = cursor
    subscription.epoch = this.#flushedEpoch
    return true
  }
}
