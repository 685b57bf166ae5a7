import { RealtimeClientError } from './client-error.ts'
import type { Link } from './client-link.ts'
import { Signal } from './client-signal.ts'
import { type GapReason, type Position, RECOVERED } from './protocol.ts'

/** `recovering`: connected again, messages that were missed are on their way. */
export type RoomStatus = 'subscribing' | 'subscribed' | 'recovering' | 'denied' | 'closed'

/** What came with a message. An ephemeral one has offset 0. */
export interface MessageMeta {
  readonly offset: number
  readonly epoch: string
}

/** Messages that nobody can bring back. */
export interface Gap {
  /**
   * `trimmed`: the history no longer reaches back far enough. `lost`: the server's storage lost messages; if it
   * lost everything, some that follow may have been seen before.
   */
  readonly reason: GapReason
  /** Messages after this position will follow. */
  readonly position: Position
}

/**
 * A room as the client knows it, whatever connection serves it at the moment: the position, and the rule
 * that makes delivery exactly-once and in order. A message counts when it comes from the connection that
 * subscribed the room last and follows the position; an earlier one is a repetition and is dropped; a later
 * one shows a hole, which only a broken server can cause, and the room is asked for again.
 */
export class ClientRoom {
  readonly name: string
  readonly events = new Signal<[event: string, data: unknown, meta: MessageMeta]>()
  readonly gaps = new Signal<[gap: Gap]>()
  /** The room was joined afresh: no position was known before. */
  readonly fresh = new Signal<[position: Position]>()
  readonly statuses = new Signal<[status: RoomStatus]>()
  position: Position | undefined
  status: RoomStatus = 'subscribing'
  denial: RealtimeClientError | undefined
  /** In a presence room: what this user shows; undefined for watching alone. */
  present: unknown
  /** Handles in the app's hands. */
  holders = 0
  #source: Link | undefined

  constructor(name: string) {
    this.name = name
  }

  setStatus(status: RoomStatus): void {
    if (this.status === status) return
    this.status = status
    this.statuses.emit(status)
  }

  isServedBy(link: Link): boolean {
    return this.#source === link
  }

  subscribed(link: Link, epoch: string, offset: number, recovered: number): void {
    this.#source = link
    const before = this.position
    this.denial = undefined
    if (recovered === RECOVERED.yes && before) this.position = { epoch, offset: before.offset }
    else this.position = { epoch, offset }
    this.setStatus('subscribed')
    if (recovered === RECOVERED.notAsked) this.fresh.emit({ epoch, offset })
    else if (recovered !== RECOVERED.yes) {
      const reason = recovered === RECOVERED.trimmed ? 'trimmed' : 'lost'
      this.gaps.emit({ reason, position: { epoch, offset } })
    }
  }

  /** False when a message is missing before this one. */
  message(link: Link, offset: number, event: string, data: unknown): boolean {
    const { position } = this
    if (link !== this.#source || !position) return true
    if (offset > position.offset + 1) return false
    if (offset !== 0 && offset <= position.offset) return true
    if (offset !== 0) this.position = { epoch: position.epoch, offset }
    this.events.emit(event, data, { offset, epoch: position.epoch })
    return true
  }

  epoch(link: Link, epoch: string): void {
    if (link === this.#source && this.position) this.position = { epoch, offset: this.position.offset }
  }

  gap(link: Link, reason: GapReason, epoch: string, offset: number): void {
    if (link !== this.#source) return
    this.position = { epoch, offset }
    this.gaps.emit({ reason, position: this.position })
  }

  /** The connection that served the room is gone. */
  interrupted(link: Link): void {
    if (link !== this.#source) return
    this.#source = undefined
    if (this.status === 'subscribed') this.setStatus('recovering')
  }

  denied(code: string): void {
    this.denial = new RealtimeClientError('REALTIME_ERR_REMOTE', 'the room is denied', { remoteCode: code })
    this.position = undefined
    this.#source = undefined
    this.setStatus('denied')
  }
}
