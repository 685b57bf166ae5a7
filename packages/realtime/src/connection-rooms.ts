import { raceDeadline } from '@cays/core/abort'
import { type Access, askAccess, mayPublish } from './access.ts'
import type { ConnectionHost } from './connection-host.ts'
import { RealtimeError } from './errors.ts'
import type { Seat } from './node-presence.ts'
import type { Member, Subscription } from './node-room.ts'
import type { Hold } from './node-rooms.ts'
import type { Identity } from './options.ts'
import { type ClientMessage, type SubscribeRequest, USER_ROOM } from './protocol.ts'
import { encodePresence, type FoundRoom, type RoomAddress } from './room-registry.ts'

// Its identity tells one request for a room from a later one.
interface Joining {
  readonly joined?: undefined
}

interface Joined {
  readonly found: FoundRoom
  readonly hold: Hold
  readonly access: Access
  readonly subscription: Subscription
  seat: Seat | undefined
}

type Place = Joining | { readonly joined: Joined }

export interface ConnectionRoomsOptions<Who extends Identity> {
  readonly host: ConnectionHost<Who>
  readonly member: Member
  /** Aborts when the connection is gone. */
  readonly signal: AbortSignal
  readonly who: () => Who | undefined
  readonly reply: (message: readonly unknown[]) => void
}

/** The rooms of one connection: what it may do there, and what it does. */
export class ConnectionRooms<Who extends Identity> {
  readonly #options: ConnectionRoomsOptions<Who>
  readonly #places = new Map<string, Place>()

  constructor(options: ConnectionRoomsOptions<Who>) {
    this.#options = options
  }

  get names(): IterableIterator<string> {
    return this.#places.keys()
  }

  async subscribe(request: SubscribeRequest): Promise<void> {
    const { id, room } = request
    const { host, signal } = this.#options
    if (this.#places.has(room)) return this.#error(id, 'already_subscribed')
    if (this.#places.size >= host.limits.rooms) return this.#error(id, 'too_many_rooms')
    // Taken before anything is awaited, so that the limit and the check above hold.
    const place: Joining = {}
    this.#places.set(room, place)
    const wanted = () => !signal.aborted && this.#places.get(room) === place
    let joined: Joined | undefined
    try {
      joined = await this.#join(request, wanted)
    } finally {
      if (wanted()) {
        if (joined) this.#places.set(room, { joined })
        else this.#places.delete(room)
      } else if (joined) this.#giveBack(joined, signal.aborted)
    }
  }

  async #join(request: SubscribeRequest, wanted: () => boolean): Promise<Joined | undefined> {
    const { id, room } = request
    const found = this.#find(room)
    const access = found && (await this.#access(found, room))
    if (!found || !access || (found.presence && !access.presence)) {
      this.#error(id, 'forbidden')
      return undefined
    }
    if (!wanted()) return undefined
    const seat = request.data === undefined ? undefined : await this.#sit(found, access, request.data)
    let subscription: { readonly hold: Hold; readonly subscription: Subscription } | undefined
    try {
      subscription = await this.#attach(found.address, request, wanted)
    } finally {
      if (!subscription) seat?.leave(this.#options.signal.aborted)
    }
    return subscription && { found, access, seat, ...subscription }
  }

  async #attach(address: RoomAddress, { id, room, position }: SubscribeRequest, wanted: () => boolean) {
    const { host, member, reply } = this.#options
    const hold = host.hold(address, room)
    let late = false
    const attached = hold.room.attach(
      member,
      position,
      (epoch, offset, recovered) => reply(['subscribed', id, room, epoch, offset, recovered]),
      () => !late && wanted(),
    )
    try {
      const subscription = await this.#inTime(attached)
      if (subscription) return { hold, subscription }
      hold[Symbol.dispose]()
      return undefined
    } catch (error) {
      late = true
      attached
        .then((subscription) => subscription && hold.room.detach(subscription))
        .catch(() => {})
        .finally(() => hold[Symbol.dispose]())
      throw error
    }
  }

  async #access(found: FoundRoom, room: string): Promise<Access | undefined> {
    const { host, signal, who } = this.#options
    if (room === USER_ROOM) return { publish: false, presence: false, expiresAt: Number.POSITIVE_INFINITY }
    const rule = host.rule(found.address.pattern)
    try {
      return await this.#inTime(askAccess(rule, who(), found.params, found.room, signal))
    } catch (error) {
      if (error instanceof RealtimeError) throw error
      host.failed('authorize', error)
      throw new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'authorization is not available', { cause: error })
    }
  }

  #find(room: string): FoundRoom | undefined {
    const { host, who } = this.#options
    if (room !== USER_ROOM) return host.match(room)
    const userId = who()?.userId
    return userId === undefined
      ? undefined
      : { address: host.userRoom(userId), params: {}, room, presence: false }
  }

  async publish(message: ClientMessage & { type: 'pub' }): Promise<void> {
    const { id, room, event, data, key } = message
    const { host, signal, who, reply } = this.#options
    const place = this.#places.get(room)
    const joined = place?.joined
    if (!joined) return this.#error(id, 'not_subscribed')
    if (joined.found.presence) {
      await this.#changePresence(joined, event, data, () => this.#places.get(room) === place)
      return reply(['ok', id, null])
    }
    if (!mayPublish(joined.access, event)) return this.#error(id, 'forbidden')
    // A key of one user must not swallow another's message.
    const idempotencyKey = key === undefined ? undefined : `${key}:${who()?.userId}`
    const { epoch, offset } = await host.publish(joined.found.address, event, data, {
      ...(idempotencyKey !== undefined && { idempotencyKey: idempotencyKey.slice(0, 256) }),
      signal,
    })
    reply(['ok', id, offset === 0 ? null : { epoch, offset }])
  }

  /** Who is in a presence room. */
  async who(id: number, room: string): Promise<void> {
    const joined = this.#places.get(room)?.joined
    if (!joined?.found.presence) return this.#error(id, 'not_subscribed')
    const { host, reply } = this.#options
    const { epoch, top, members } = await this.#inTime(host.presence.roster(joined.found.address.key))
    const list = members.map(([user, data]) => `[${JSON.stringify(user)},${data}]`).join(',')
    reply(['ok', id, { epoch, offset: top, members: JSON.parse(`[${list}]`) as unknown }])
  }

  async #changePresence(joined: Joined, event: string, data: unknown, wanted: () => boolean): Promise<void> {
    if (event === 'leave') {
      joined.seat?.leave(false)
      joined.seat = undefined
    } else if (event !== 'enter') {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_EVENT', 'in a presence room one enters or leaves')
    } else if (joined.seat) {
      const text = await encodePresence(joined.found.address.contract, data)
      await this.#inTime(joined.seat?.update(text) ?? Promise.resolve())
    } else {
      const seat = await this.#sit(joined.found, joined.access, data)
      if (wanted() && !joined.seat) joined.seat = seat
      else seat.leave(this.#options.signal.aborted)
    }
  }

  async #sit(found: FoundRoom, access: Access, data: unknown): Promise<Seat> {
    const { host, signal, who } = this.#options
    const userId = who()?.userId
    if (access.presence !== true || userId === undefined) {
      throw new RealtimeError('REALTIME_ERR_FORBIDDEN', 'the rule of the room does not let this user enter')
    }
    const text = await encodePresence(found.address.contract, data)
    signal.throwIfAborted()
    const seat = host.presence.sit(found.address.key, userId, text)
    try {
      await this.#inTime(seat.stored)
    } catch (error) {
      seat.leave(signal.aborted)
      throw error
    }
    return seat
  }

  #inTime<T>(work: Promise<T>): Promise<T> {
    const { host, signal } = this.#options
    return raceDeadline(work, host.limits.handshakeTimeout, tooSlow, signal)
  }

  /** Takes the rooms away whose right has ended. */
  expire(now: number): void {
    for (const [name, { joined }] of this.#places) {
      if (!joined || now < joined.access.expiresAt) continue
      this.leave(name)
      this.#options.reply(['unsubscribed', name, 'expired'])
    }
  }

  /** `broken`: not because the client wants to. */
  leave(name: string, broken: boolean = false): void {
    const joined = this.#places.get(name)?.joined
    this.#places.delete(name)
    if (joined) this.#giveBack(joined, broken)
  }

  leaveAll(broken: boolean): void {
    for (const name of [...this.#places.keys()]) this.leave(name, broken)
  }

  #giveBack({ hold, seat, subscription }: Joined, broken: boolean): void {
    seat?.leave(broken)
    hold.room.detach(subscription)
    hold[Symbol.dispose]()
  }

  #error(id: number, code: string): void {
    this.#options.reply(['err', id, code, code.replaceAll('_', ' '), false, 0])
  }
}

export function tooSlow(): RealtimeError {
  return new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'the server was too slow to answer; try again')
}
