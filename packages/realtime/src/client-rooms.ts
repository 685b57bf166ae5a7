import { backoff } from '@cays/core/backoff'
import type { RealtimeClientError } from './client-error.ts'
import type { Link } from './client-link.ts'
import type { ClientRequests } from './client-requests.ts'
import { ClientRoom } from './client-room.ts'
import { CLOSE, type GapReason } from './protocol.ts'

/** The rooms a client is in: how they are asked for over each connection, and what is told of them. */
export class ClientRooms {
  readonly #requests: ClientRequests
  readonly #pauses: { readonly base: number; readonly cap: number }
  readonly #links: () => readonly (Link | undefined)[]
  readonly #rooms = new Map<string, ClientRoom>()

  /** `links`: the connection in use, then the one that is being moved to. */
  constructor(
    requests: ClientRequests,
    pauses: { readonly base: number; readonly cap: number },
    links: () => readonly (Link | undefined)[],
  ) {
    this.#requests = requests
    this.#pauses = pauses
    this.#links = links
  }

  /** The room of that name; asked for when it is new. */
  join(name: string): ClientRoom {
    let room = this.#rooms.get(name)
    if (!room) {
      room = new ClientRoom(name)
      this.#rooms.set(name, room)
      for (const link of this.#links()) if (link?.welcome) this.#ask(room, link)
    }
    return room
  }

  /** Leaves a room that nobody holds any more. */
  leave(room: ClientRoom): void {
    if (room.holders > 0 || this.#rooms.get(room.name) !== room) return
    this.#rooms.delete(room.name)
    for (const link of this.#links()) link?.send(['unsub', this.#requests.id(), room.name])
  }

  /** What hello says of them: all are asked for at once. */
  hello(link: Link): readonly unknown[] {
    return [...this.#rooms.values()].map((room) => this.#asking(room, link))
  }

  /**
   * The connection serves from now on: rooms it was not asked for yet are asked for. One may have been joined or denied
   * in the middle of a move, over the connection that served before.
   */
  servedBy(link: Link): void {
    for (const room of this.#rooms.values()) {
      if (room.isServedBy(link) || this.#requests.isAsking(link, room)) continue
      link.send(['unsub', this.#requests.id(), room.name])
      this.#ask(room, link)
    }
  }

  /** A connection is gone. */
  interrupted(link: Link): void {
    for (const room of this.#rooms.values()) room.interrupted(link)
  }

  /** Takes what is told of a room; false when it is about something else. */
  received(link: Link, message: readonly unknown[]): boolean {
    const [type, second, third, fourth, fifth, sixth] = message
    switch (type) {
      case 'm': {
        const room = this.#rooms.get(String(second))
        if (room && !room.message(link, Number(third), String(fourth), fifth)) {
          link.close(CLOSE.stateLost, 'a message is missing')
        }
        return true
      }
      case 'epoch':
        this.#rooms.get(String(second))?.epoch(link, String(third))
        return true
      case 'gap':
        this.#rooms.get(String(second))?.gap(link, third as GapReason, String(fourth), Number(fifth))
        return true
      case 'subscribed':
        this.#requests.settle(Number(second))
        this.#rooms.get(String(third))?.subscribed(link, String(fourth), Number(fifth), Number(sixth))
        this.#requests.flush(link, String(third))
        return true
      case 'unsubscribed': {
        const room = this.#rooms.get(String(second))
        if (room && this.#links()[0] === link) this.#ask(room, link)
        return true
      }
    }
    return false
  }

  close(): void {
    for (const room of this.#rooms.values()) room.setStatus('closed')
    this.#rooms.clear()
  }

  #ask(room: ClientRoom, link: Link): void {
    link.send(['sub', ...this.#asking(room, link)])
  }

  // The part of a subscribe message after its type; the answer is looked up by its id.
  #asking(room: ClientRoom, link: Link): readonly unknown[] {
    const reject = (error: RealtimeClientError) => this.#refused(room, link, error)
    const id = this.#requests.expect(link, { resolve: () => {}, reject }, room)
    const { name, position, present } = room
    if (present !== undefined) return [id, name, position?.epoch, position?.offset, present]
    return position ? [id, name, position.epoch, position.offset] : [id, name]
  }

  #refused(room: ClientRoom, link: Link, error: RealtimeClientError): void {
    const wanted = () => link.open && this.#rooms.get(room.name) === room
    if (!wanted()) return
    if (error.retryable) setTimeout(() => wanted() && this.#ask(room, link), backoff(2, this.#pauses))
    else if (this.#links()[0] === link) {
      room.denied(error.remoteCode ?? '')
      this.#requests.denied(room)
    }
  }
}
