import { raceDeadline } from '@cays/core/abort'
import { type Access, askAccess, mayPublish } from './access.ts'
import type { ConnectionHost } from './connection-host.ts'
import { type ConnectionWork, tooSlow } from './connection-work.ts'
import { RealtimeError } from './errors.ts'
import type { Seat } from './node-presence.ts'
import type { Hold } from './node-rooms.ts'
import type { Identity } from './options.ts'
import { type ClientMessage, type SubscribeRequest, USER_ROOM } from './protocol.ts'
import type { Member, Subscription } from './room-audience.ts'
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

/** The connection whose rooms these are. */
export interface RoomsOwner<Who extends Identity> extends Member {
  readonly who: Who | undefined
  readonly work: ConnectionWork
  reply(message: readonly unknown[]): void
}

/** The rooms of one connection: what it may do there, and what it does. */
export class ConnectionRooms<Who extends Identity> {
  readonly #host: ConnectionHost<Who>
  readonly #owner: RoomsOwner<Who>
  readonly #places = new Map<string, Place>()

  constructor(host: ConnectionHost<Who>, owner: RoomsOwner<Who>) {
    this.#host = host
    this.#owner = owner
  }

  get names(): IterableIterator<string> {
    return this.#places.keys()
  }

  async subscribe(request: SubscribeRequest): Promise<void> {
    const { id, room } = request
    const { work } = this.#owner
    if (this.#places.has(room)) return this.#error(id, 'already_subscribed')
    if (this.#places.size >= this.#host.limits.rooms) return this.#error(id, 'too_many_rooms')
    // Taken before anything is awaited, so that the limit and the check above hold.
    const place: Joining = {}
    this.#places.set(room, place)
    const wanted = () => !work.ended && this.#places.get(room) === place
    let joined: Joined | undefined
    try {
      joined = await work.run((signal) => this.#join(request, wanted, signal))
    } finally {
      if (wanted()) {
        if (joined) this.#places.set(room, { joined })
        else this.#places.delete(room)
      } else if (joined) this.#giveBack(joined, work.ended)
    }
  }

  async #join(
    request: SubscribeRequest,
    wanted: () => boolean,
    signal: AbortSignal,
  ): Promise<Joined | undefined> {
    const { id, room } = request
    const found = this.#find(room)
    const access = found && (await this.#access(found, room, signal))
    if (!found || !access || (found.presence && !access.presence)) {
      this.#error(id, 'forbidden')
      return undefined
    }
    if (!wanted()) return undefined
    const seat = request.data === undefined ? undefined : await this.#sit(found, access, request.data, signal)
    let subscription: { readonly hold: Hold; readonly subscription: Subscription } | undefined
    try {
      subscription = await this.#attach(found.address, request, wanted, signal)
    } finally {
      if (!subscription) seat?.leave(signal.aborted)
    }
    return subscription && { found, access, seat, ...subscription }
  }

  async #attach(
    address: RoomAddress,
    { id, room, position }: SubscribeRequest,
    wanted: () => boolean,
    signal: AbortSignal,
  ) {
    const hold = this.#host.hold(address, room)
    let late = false
    const attached = hold.room.attach(
      this.#owner,
      position,
      (epoch, offset, recovered) => this.#owner.reply(['subscribed', id, room, epoch, offset, recovered]),
      () => !late && wanted(),
    )
    try {
      const subscription = await this.#inTime(attached, signal)
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

  async #access(found: FoundRoom, room: string, signal: AbortSignal): Promise<Access | undefined> {
    if (room === USER_ROOM) return { publish: false, presence: false, expiresAt: Number.POSITIVE_INFINITY }
    const rule = this.#host.rule(found.address.pattern)
    try {
      return await this.#inTime(askAccess(rule, this.#owner.who, found.params, found.room, signal), signal)
    } catch (error) {
      if (error instanceof RealtimeError) throw error
      this.#host.failed('authorize', error)
      throw new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'authorization is not available', { cause: error })
    }
  }

  #find(room: string): FoundRoom | undefined {
    if (room !== USER_ROOM) return this.#host.match(room)
    const userId = this.#owner.who?.userId
    return userId === undefined
      ? undefined
      : { address: this.#host.userRoom(userId), params: {}, room, presence: false }
  }

  async publish(message: ClientMessage & { type: 'pub' }): Promise<void> {
    const { id, room, event, data, key } = message
    const place = this.#places.get(room)
    const joined = place?.joined
    if (!joined) return this.#error(id, 'not_subscribed')
    if (joined.found.presence) {
      const wanted = () => this.#places.get(room) === place
      await this.#owner.work.run((signal) => this.#changePresence(joined, event, data, wanted, signal))
      return this.#owner.reply(['ok', id, null])
    }
    if (!mayPublish(joined.access, event)) return this.#error(id, 'forbidden')
    // A key of one user must not swallow another's message.
    const idempotencyKey = key === undefined ? undefined : `${key}:${this.#owner.who?.userId}`
    const { epoch, offset } = await this.#host.publish(joined.found.address, event, data, {
      ...(idempotencyKey !== undefined && { idempotencyKey: idempotencyKey.slice(0, 256) }),
    })
    this.#owner.reply(['ok', id, offset === 0 ? null : { epoch, offset }])
  }

  /** Who is in a presence room. */
  async who(id: number, room: string): Promise<void> {
    const joined = this.#places.get(room)?.joined
    if (!joined?.found.presence) return this.#error(id, 'not_subscribed')
    const { epoch, top, members } = await this.#owner.work.run((signal) =>
      this.#inTime(this.#host.presence.roster(joined.found.address.key), signal),
    )
    const list = members.map(([user, data]) => `[${JSON.stringify(user)},${data}]`).join(',')
    this.#owner.reply(['ok', id, { epoch, offset: top, members: JSON.parse(`[${list}]`) as unknown }])
  }

  async #changePresence(
    joined: Joined,
    event: string,
    data: unknown,
    wanted: () => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (event === 'leave') {
      joined.seat?.leave(false)
      joined.seat = undefined
    } else if (event !== 'enter') {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_EVENT', 'in a presence room one enters or leaves')
    } else if (joined.seat) {
      const text = await encodePresence(joined.found.address.contract, data)
      await this.#inTime(joined.seat?.update(text) ?? Promise.resolve(), signal)
    } else {
      const seat = await this.#sit(joined.found, joined.access, data, signal)
      if (wanted() && !joined.seat) joined.seat = seat
      else seat.leave(signal.aborted)
    }
  }

  async #sit(found: FoundRoom, access: Access, data: unknown, signal: AbortSignal): Promise<Seat> {
    const userId = this.#owner.who?.userId
    if (access.presence !== true || userId === undefined) {
      throw new RealtimeError('REALTIME_ERR_FORBIDDEN', 'the rule of the room does not let this user enter')
    }
    const text = await encodePresence(found.address.contract, data)
    signal.throwIfAborted()
    const seat = this.#host.presence.sit(found.address.key, userId, text)
    try {
      await this.#inTime(seat.stored, signal)
    } catch (error) {
      seat.leave(signal.aborted)
      throw error
    }
    return seat
  }

  #inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    return raceDeadline(work, this.#host.limits.handshakeTimeout, tooSlow, signal)
  }

  /** Takes the rooms away whose right has ended. */
  expire(now: number): void {
    for (const [name, { joined }] of this.#places) {
      if (!joined || now < joined.access.expiresAt) continue
      this.leave(name)
      this.#owner.reply(['unsubscribed', name, 'expired'])
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
    this.#owner.reply(['err', id, code, code.replaceAll('_', ' '), false, 0])
  }
}
