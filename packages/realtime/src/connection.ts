import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { raceDeadline } from '@cays/core/abort'
import type { WebSocket } from 'ws'
import { type Access, askAccess, mayPublish, momentOf } from './access.ts'
import type { ConnectionHost } from './connection-host.ts'
import { RealtimeError } from './errors.ts'
import { encodeFrame } from './frame.ts'
import type { Member, Subscription } from './node-room.ts'
import type { Hold } from './node-rooms.ts'
import type { Identity } from './options.ts'
import {
  CLOSE,
  type ClientMessage,
  parseClientMessage,
  type SubscribeRequest,
  USER_ROOM,
  type Welcome,
} from './protocol.ts'
import type { RoomAddress } from './room-registry.ts'
import type { Taker } from './token-bucket.ts'

// Its identity tells one request for a room from a later one.
interface Joining {
  readonly joined?: undefined
}

interface Joined {
  readonly address: RoomAddress
  readonly hold: Hold
  readonly access: Access
  readonly subscription: Subscription
}

type Place = Joining | { readonly joined: Joined }

type Phase = 'waiting' | 'authenticating' | 'ready' | 'closed'

const MAX_MESSAGES_PER_FRAME = 512
const MAX_CALLS = 64
const MAX_REFUSED = 1_000
// Replies may exceed the budget of room messages by this much before the socket is given up.
const REPLY_ALLOWANCE = 1_048_576

/**
 * One socket: reads what its client says and never throws because of it, keeps its rooms, and bounds what
 * waits to be sent.
 *
 * Frames are written to the TCP socket directly, already encoded and shared with the other sockets of a
 * room; `ws` parses what comes in and does the closing. Without compression both write whole frames.
 */
export class Connection<Who extends Identity = Identity> implements Member {
  readonly id: string = randomBytes(9).toString('base64url')
  readonly address: string
  readonly #host: ConnectionHost<Who>
  readonly #socket: WebSocket
  readonly #stream: Duplex
  readonly #controller = new AbortController()
  readonly #inbound: Taker
  readonly #rooms = new Map<string, Place>()
  readonly #calls = new Map<number, AbortController>()
  readonly #stalled = new Set<Subscription>()
  #request: IncomingMessage | undefined
  #who: Who | undefined
  #phase: Phase = 'waiting'
  #expiresAt = Number.POSITIVE_INFINITY
  #info: unknown
  #heardAt = Date.now()
  #refused = 0
  #advised = false

  constructor(host: ConnectionHost<Who>, socket: WebSocket, stream: Duplex, request: IncomingMessage) {
    this.#host = host
    this.#socket = socket
    this.#stream = stream
    this.#request = request
    this.address = request.socket.remoteAddress ?? ''
    this.#inbound = host.limits.inbound()
    socket.on('message', (data, binary) => this.#received(data as Buffer, binary))
    // ws closes with the right code by itself after a protocol error.
    socket.on('error', () => {})
    socket.on('close', () => this.#closed())
    stream.on('drain', () => this.#drained())
  }

  get who(): Who | undefined {
    return this.#who
  }

  get phase(): Phase {
    return this.#phase
  }

  /** Bytes that wait in this process for the socket. */
  get waiting(): number {
    return this.#stream.writableLength
  }

  backlogged(bytes: number, divisible: boolean = false): boolean {
    const waiting = this.#stream.writableLength
    return (waiting > 0 || divisible) && waiting + bytes > this.#host.limits.outbound
  }

  write(frame: Buffer): void {
    if (this.#phase !== 'closed' && this.#socket.readyState === this.#socket.OPEN) this.#stream.write(frame)
  }

  stalled(subscription: Subscription): void {
    this.#stalled.add(subscription)
    // A stream below its own mark has no 'drain' to come.
    if (!this.#stream.writableNeedDrain) setTimeout(() => this.#drained(), 5)
  }

  /** Says goodbye with a code; a client that does not answer is cut off by `ws` after 30 s. */
  close(code: number, reason = ''): void {
    if (this.#phase === 'closed') return
    this.#socket.close(code, reason)
    this.#leave()
  }

  /** Ends the socket at once. */
  terminate(): void {
    this.#socket.terminate()
    this.#leave()
  }

  /** Asks the client to move to another node after `delay`, and at the latest by `deadline`, in milliseconds. */
  advise(reason: string, delay: number, deadline: number): void {
    if (this.#phase !== 'ready' || this.#advised) return
    this.#advised = true
    this.#reply(['advice', reason, Math.round(delay), Math.round(deadline)])
  }

  /** Heartbeat and expiry; called a few times per heartbeat. */
  tend(now: number): void {
    const silent = now - this.#heardAt
    const { heartbeat, limits } = this.#host
    if (this.#phase === 'waiting' || this.#phase === 'authenticating') {
      if (silent > limits.handshakeTimeout) this.close(CLOSE.silent, 'no hello in time')
    } else if (silent > 2 * heartbeat + 1_000) {
      // The peer is gone or frozen: a close handshake would wait for it.
      this.#socket.close(CLOSE.silent, 'no heartbeat')
      this.terminate()
    } else if (now >= this.#expiresAt) this.close(CLOSE.tokenExpired, 'token expired')
    else {
      this.#expireRooms(now)
      if (silent > heartbeat && !this.backlogged(16)) this.write(PING)
    }
  }

  #expireRooms(now: number): void {
    for (const [name, { joined }] of this.#rooms) {
      if (!joined || now < joined.access.expiresAt) continue
      this.#leaveRoom(name)
      this.#reply(['unsubscribed', name, 'expired'])
    }
  }

  #received(data: Buffer, binary: boolean): void {
    this.#heardAt = Date.now()
    if (this.#phase === 'closed') return
    if (binary) {
      this.close(CLOSE.badProtocol, 'text frames only')
      return
    }
    const messages = data.toString().split('\n', MAX_MESSAGES_PER_FRAME + 1)
    if (messages.length > MAX_MESSAGES_PER_FRAME) {
      this.close(CLOSE.badProtocol, 'too many messages')
      return
    }
    for (const text of messages) {
      const message = parseClientMessage(text)
      if (!message) {
        this.close(CLOSE.badProtocol, 'not a message of this protocol')
        return
      }
      void this.#handle(message)
      // Closed by what was just handled; the rest of the frame is void.
      if ((this.#phase as Phase) === 'closed') return
    }
  }

  async #handle(message: ClientMessage): Promise<void> {
    if (message.type === 'ping') return this.write(PONG)
    if (message.type === 'pong') return
    if (message.type === 'hello') return await this.#hello(message)
    if (this.#phase !== 'ready') {
      this.close(CLOSE.badProtocol, 'say hello first')
      return
    }
    if (!this.#inbound.take(1)) return this.#refuse(message.id)
    this.#refused = 0
    try {
      await this.#dispatch(message)
    } catch (error) {
      this.#fail(message.id, error)
    }
  }

  #refuse(id: number): void {
    this.#refused++
    if (this.#refused > MAX_REFUSED) this.close(CLOSE.policy, 'too many messages')
    else this.#reply(['err', id, 'rate_limited', 'too many messages', true, 1_000])
  }

  async #dispatch(message: Exclude<ClientMessage, { type: 'hello' | 'ping' | 'pong' }>): Promise<void> {
    switch (message.type) {
      case 'sub':
        return await this.#subscribe(message)
      case 'unsub':
        this.#leaveRoom(message.room)
        return this.#reply(['ok', message.id, null])
      case 'pub':
        return await this.#publish(message)
      case 'call':
        return await this.#call(message.id, message.method, message.input)
      case 'cancel':
        this.#calls.get(message.id)?.abort()
        return
      case 'refresh':
        return await this.#refresh(message.id, message.token)
      default:
        message satisfies never
    }
  }

  async #hello(message: ClientMessage & { type: 'hello' }): Promise<void> {
    if (this.#phase !== 'waiting') {
      this.close(CLOSE.badProtocol, 'one hello per connection')
      return
    }
    this.#phase = 'authenticating'
    this.#info = message.info
    let who: Who | null
    try {
      who = await this.#authenticate(message.token)
    } catch (error) {
      this.#host.failed('authenticate', error)
      this.close(CLOSE.internal, 'authentication is not available')
      return
    }
    if (this.#phase !== 'authenticating') return
    const expiresAt = momentOf(who?.expiresAt)
    if (!who || typeof who.userId !== 'string' || who.userId === '') {
      this.close(CLOSE.unauthorized, 'unauthorized')
      return
    }
    if (expiresAt <= Date.now()) {
      this.close(CLOSE.tokenExpired, 'token expired')
      return
    }
    if (message.rooms.length > this.#host.limits.rooms) {
      this.close(CLOSE.limit, 'too many rooms')
      return
    }
    this.#who = who
    this.#expiresAt = expiresAt
    if (!this.#host.admit(this, who.userId)) {
      this.close(CLOSE.limit, 'too many connections')
      return
    }
    this.#phase = 'ready'
    this.#reply(['welcome', message.id, this.#welcome()])
    for (const request of message.rooms) {
      this.#subscribe(request).catch((error: unknown) => this.#fail(request.id, error))
    }
  }

  async #authenticate(token: string): Promise<Who | null> {
    const request = this.#request
    if (!request) return null
    const { handshakeTimeout } = this.#host.limits
    const signal = this.#controller.signal
    const work = Promise.resolve(this.#host.authenticate({ token, request, info: this.#info, signal }))
    return await raceDeadline(work, handshakeTimeout, timeout, signal)
  }

  #welcome(): Welcome {
    const { heartbeat, limits, node } = this.#host
    const left = this.#expiresAt - Date.now()
    return {
      connection: this.id,
      node,
      ping: heartbeat,
      time: Date.now(),
      payload: limits.payload,
      rooms: limits.rooms,
      ...(Number.isFinite(left) && { expiresIn: Math.max(0, Math.round(left)) }),
    }
  }

  async #refresh(id: number, token: string): Promise<void> {
    const who = await this.#authenticate(token)
    if (this.#phase !== 'ready') return
    const expiresAt = momentOf(who?.expiresAt)
    if (!who || who.userId !== this.#who?.userId || expiresAt <= Date.now()) {
      this.close(CLOSE.unauthorized, 'the fresh token was refused')
      return
    }
    this.#who = who
    this.#expiresAt = expiresAt
    const { expiresIn } = this.#welcome()
    this.#reply(['ok', id, expiresIn === undefined ? {} : { expiresIn }])
  }

  async #subscribe({ id, room, position }: SubscribeRequest): Promise<void> {
    if (this.#rooms.has(room)) return this.#error(id, 'already_subscribed', false)
    if (this.#rooms.size >= this.#host.limits.rooms) return this.#error(id, 'too_many_rooms', false)
    // Taken before anything is awaited, so that the limit and the check above hold.
    const place: Joining = {}
    this.#rooms.set(room, place)
    const wanted = () => this.#phase === 'ready' && this.#rooms.get(room) === place
    let joined: Joined | undefined
    try {
      joined = await this.#join(id, room, position, wanted)
    } finally {
      if (wanted()) {
        if (joined) this.#rooms.set(room, { joined })
        else this.#rooms.delete(room)
      } else if (joined) this.#giveBack(joined)
    }
  }

  async #join(
    id: number,
    room: string,
    position: SubscribeRequest['position'],
    wanted: () => boolean,
  ): Promise<Joined | undefined> {
    const found = this.#find(room)
    const access = found && (await this.#access(found, room))
    if (!found || !access) {
      this.#error(id, 'forbidden', false)
      return undefined
    }
    if (!wanted()) return undefined
    const { address } = found
    const hold = this.#host.hold(address, room)
    let late = false
    const attached = hold.room.attach(
      this,
      position,
      (epoch, offset, recovered) => this.#reply(['subscribed', id, room, epoch, offset, recovered]),
      () => !late && wanted(),
    )
    try {
      const { signal } = this.#controller
      const subscription = await raceDeadline(attached, this.#host.limits.handshakeTimeout, timeout, signal)
      if (subscription) return { address, hold, access, subscription }
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

  async #access(
    found: { readonly address: RoomAddress; readonly params: Readonly<Record<string, string>> },
    room: string,
  ): Promise<Access | undefined> {
    if (room === USER_ROOM) return { publish: false, expiresAt: Number.POSITIVE_INFINITY }
    const { signal } = this.#controller
    const rule = this.#host.rule(found.address.pattern)
    const asked = askAccess(rule, this.#who, found.params, room, signal)
    try {
      return await raceDeadline(asked, this.#host.limits.handshakeTimeout, timeout, signal)
    } catch (error) {
      if (error instanceof RealtimeError) throw error
      this.#host.failed('authorize', error)
      throw new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'authorization is not available', { cause: error })
    }
  }

  #find(room: string) {
    if (room !== USER_ROOM) return this.#host.match(room)
    return this.#who && { address: this.#host.userRoom(this.#who.userId), params: {} }
  }

  async #publish(message: ClientMessage & { type: 'pub' }): Promise<void> {
    const { id, room, event, data, key } = message
    const joined = this.#rooms.get(room)?.joined
    if (!joined) return this.#error(id, 'not_subscribed', false)
    if (!mayPublish(joined.access, event)) return this.#error(id, 'forbidden', false)
    // A key of one user must not swallow another's message.
    const idempotencyKey = key === undefined ? undefined : `${key}:${this.#who?.userId}`
    const { epoch, offset } = await this.#host.publish(joined.address, event, data, {
      ...(idempotencyKey !== undefined && { idempotencyKey: idempotencyKey.slice(0, 256) }),
      signal: this.#controller.signal,
    })
    this.#reply(['ok', id, offset === 0 ? null : { epoch, offset }])
  }

  async #call(id: number, method: string, input: unknown): Promise<void> {
    const who = this.#who
    if (!who) return
    if (this.#calls.size >= MAX_CALLS || this.#calls.has(id)) return this.#error(id, 'busy', true)
    const controller = new AbortController()
    this.#calls.set(id, controller)
    try {
      const result = await this.#host.call(method, input, {
        who,
        connection: this.id,
        signal: controller.signal,
      })
      if (!controller.signal.aborted) this.#reply(['ok', id, result ?? null])
    } catch (error) {
      if (!controller.signal.aborted) throw error
    } finally {
      this.#calls.delete(id)
    }
  }

  #fail(id: number, error: unknown): void {
    if (this.#phase !== 'ready') return
    const told = this.#host.tell(error)
    this.#reply(['err', id, told.code, told.message, told.retryable, 0])
  }

  #error(id: number, code: string, retryable: boolean): void {
    this.#reply(['err', id, code, code.replaceAll('_', ' '), retryable, 0])
  }

  #reply(message: readonly unknown[]): void {
    // Id 0 asks for no answer.
    if (message[1] === 0 && (message[0] === 'ok' || message[0] === 'err')) return
    if (this.#stream.writableLength > this.#host.limits.outbound + REPLY_ALLOWANCE) {
      // It asks without reading the answers.
      this.#socket.close(CLOSE.slow, 'too slow')
      this.terminate()
      return
    }
    this.write(encodeFrame(JSON.stringify(message)))
  }

  #leaveRoom(name: string): void {
    const joined = this.#rooms.get(name)?.joined
    this.#rooms.delete(name)
    if (joined) this.#giveBack(joined)
  }

  #giveBack({ hold, subscription }: Joined): void {
    hold.room.detach(subscription)
    this.#stalled.delete(subscription)
    hold[Symbol.dispose]()
  }

  #drained(): void {
    if (this.#stalled.size === 0) return
    const stalled = [...this.#stalled]
    this.#stalled.clear()
    for (const subscription of stalled) subscription.room.pump(subscription)
  }

  #closed(): void {
    this.#leave()
    this.#host.left(this)
  }

  // Gives everything back; the socket itself may still be closing.
  #leave(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#request = undefined
    this.#controller.abort(new RealtimeError('REALTIME_ERR_CLOSED', 'the connection was closed'))
    for (const call of this.#calls.values()) call.abort(this.#controller.signal.reason)
    this.#calls.clear()
    for (const name of [...this.#rooms.keys()]) this.#leaveRoom(name)
    this.#stalled.clear()
  }
}

const PING = encodeFrame('["ping"]')
const PONG = encodeFrame('["pong"]')

function timeout(): RealtimeError {
  return new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'the server was too slow to answer; try again')
}
