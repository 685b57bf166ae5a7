import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import type { Broker, HistorySpec, Slice } from './broker.ts'
import type { Compression } from './frame.ts'
import { type Position, RECOVERED } from './protocol.ts'
import { type Member, RoomAudience, type Subscription } from './room-audience.ts'
import { RoomLog } from './room-log.ts'
import { GAPS, REPAIRS } from './telemetry.ts'

/*
 * One room as one node sees it: the heart of delivery.
 *
 * The broker numbers messages and keeps the newest. Its live flow may lose some (a subscriber that
 * reconnects, a dropped buffer); its history never does, except by trimming. The node follows the live
 * flow, notices every hole in the numbers, and reads what is missing once for all of its sockets.
 *
 * Invariants:
 * 1. A message enters the log only when it follows its top in the present epoch. Anything else starts a
 *    read (`resync`), during which live batches wait.
 * 2. Whenever a reader's position is not part of the room's past, or the past is trimmed, it is sent `gap`
 *    before anything else, then all that is left: from the point where its epoch ended, or from the oldest
 *    message kept. No hole is silent, and nothing that can be delivered is left out.
 */

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
  readonly #log: RoomLog
  readonly #audience: RoomAudience
  readonly #controller = new AbortController()
  #ready: Promise<void> | undefined
  #touched = Date.now()
  #sync: Promise<void> | undefined
  #nextSync: Promise<void> | undefined
  #backfill: Promise<void> | undefined
  #waiting: Batch[] = []
  #overflowed = false

  constructor(options: NodeRoomOptions) {
    const { key, wire, spec, compression, instance } = options
    this.#options = options
    this.key = key
    this.#log = new RoomLog(spec.size)
    const fill = (from: number) => this.#fill(from)
    this.#audience = new RoomAudience({ log: this.#log, wire, compression, instance, fill })
  }

  get size(): number {
    return this.#audience.size
  }

  get position(): Position {
    return this.#log.position
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
    const { epoch, top } = this.#log
    const { start, reason } = position ? this.#log.continuation(position) : { start: top, reason: undefined }
    const subscription: Subscription = { room: this, member, live: false, cursor: start, epoch }
    announce(
      epoch,
      start,
      position === undefined ? RECOVERED.notAsked : reason === undefined ? RECOVERED.yes : RECOVERED[reason],
    )
    this.#audience.add(subscription)
    return subscription
  }

  detach(subscription: Subscription): void {
    this.#audience.remove(subscription)
  }

  flush(): void {
    this.#audience.flush()
  }

  pump(subscription: Subscription): void {
    this.#audience.pump(subscription)
  }

  // Reads what it takes to continue from a position.
  async #reach(position: Position): Promise<void> {
    // Another node may simply be ahead of this one.
    if (!this.#log.isShared(position)) await this.refresh()
    await this.#fill(this.#log.continuation(position).from + 1)
  }

  receive(epoch: string, first: number, texts: readonly string[]): void {
    if (this.#sync || this.#log.epoch === '') {
      if (this.#waiting.length >= MAX_WAITING_BATCHES) {
        this.#waiting = []
        this.#overflowed = true
      } else this.#waiting.push({ epoch, first, texts })
    } else if (!this.#accept(epoch, first, texts)) {
      void this.#resync(this.#log.top)
    }
  }

  receiveEphemeral(text: string): void {
    this.#audience.message(0, text)
    this.#options.dirty(this)
  }

  /** Reads what was missed; the read begins after this call. */
  refresh(): Promise<void> {
    if (this.#log.epoch === '') return this.start(false)
    if (!this.#sync) return this.#resync(this.#log.top)
    this.#nextSync ??= this.#sync.then(() => {
      this.#nextSync = undefined
      return this.#resync(this.#log.top)
    })
    return this.#nextSync
  }

  /** Periodic care: drops texts the history has outlived as well, and helps cursors whose read failed. */
  tend(now: number): void {
    if (now - this.#touched > this.#options.spec.ttl) this.#log.empty()
    this.#audience.tend()
  }

  #accept(epoch: string, first: number, texts: readonly string[]): boolean {
    const log = this.#log
    if (epoch !== log.epoch || first > log.top + 1) return false
    for (let at = log.top + 1 - first; at < texts.length; at++) {
      const text = texts[at] ?? ''
      log.append(text)
      this.#audience.message(log.top, text)
      this.#options.listener?.(text)
      this.#touched = Date.now()
      this.#options.dirty(this)
    }
    return true
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
        this.#apply(...(await this.#read(rounds === 0 ? after : this.#log.top)))
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
      if (batch.epoch === this.#log.epoch) again = true
      else if (firstRound && !this.#log.previous.some((end) => end.epoch === batch.epoch)) again = true
    }
    return again
  }

  // Reads on from an offset, and from further back when the room's past turns out to have branched there.
  async #read(after: number | undefined): Promise<[slice: Slice, after: number | undefined]> {
    const { broker, spec } = this.#options
    let from = after
    for (;;) {
      const slice = await broker.read(this.key, spec, from)
      const branch = this.#log.branch(slice) ?? from
      if (from === undefined || branch === undefined || branch >= from) return [slice, from]
      from = branch
    }
  }

  #apply(slice: Slice, after: number | undefined): void {
    const known = this.#log.epoch !== ''
    const { instance } = this.#options
    this.flush()
    const went = this.#log.renew(slice, after)
    if (went === 'epoch') this.#audience.epoch()
    else if (went !== 'same') {
      this.#audience.gap(went, this.#log.top)
      if (GAPS.active) GAPS.publish({ instance, attributes: { reason: went } })
    }
    this.flush()
    this.#touched = Date.now()
    if (known && slice.texts.length > 0 && REPAIRS.active) REPAIRS.publish({ instance, attributes: {} })
    this.#accept(slice.epoch, slice.first, slice.texts)
  }

  // Reads the whole history once, for every socket that needs more of it than the log holds.
  async #fill(from: number): Promise<void> {
    if (!this.#log.lacks(from)) return
    this.#backfill ??= this.#runFill().finally(() => {
      this.#backfill = undefined
    })
    await this.#backfill
  }

  async #runFill(): Promise<void> {
    const { broker, spec } = this.#options
    let history = await broker.read(this.key, spec, 0)
    for (; history.epoch !== this.#log.epoch; history = await broker.read(this.key, spec, 0)) {
      await this.refresh()
    }
    this.#log.prepend(history)
  }
}
