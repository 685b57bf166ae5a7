import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ConnectionCalls } from './connection-calls.ts'
import type { ConnectionHost } from './connection-host.ts'
import { ConnectionIdentity } from './connection-identity.ts'
import { ConnectionRooms, type RoomsOwner } from './connection-rooms.ts'
import type { ConnectionSocket, ConnectionStream } from './connection-transport.ts'
import { ConnectionWork } from './connection-work.ts'
import { RealtimeError } from './errors.ts'
import { encodeFrame } from './frame.ts'
import type { Identity } from './options.ts'
import { CLOSE, type ClientMessage, parseClientMessage, type Welcome } from './protocol.ts'
import type { Subscription } from './room-audience.ts'
import type { Taker } from './token-bucket.ts'

type Phase = 'waiting' | 'authenticating' | 'ready' | 'closed'

const MAX_MESSAGES_PER_FRAME = 512
const MAX_REFUSED = 1_000
// Replies may exceed the budget of room messages by this much before the socket is given up.
const REPLY_ALLOWANCE = 1_048_576

/**
 * One socket: reads what its client says and never throws because of it, keeps its rooms, and bounds what
 * waits to be sent.
 *
 * Frames are written to the TCP socket directly, already encoded and shared with the other sockets of a
 * room; `ws` parses what comes in and does the closing. Nothing is compressed by `ws`, so both write whole frames.
 *
 * Most connections are idle: what one needs only when something happens is made when it does.
 */
export class Connection<Who extends Identity = Identity> implements RoomsOwner<Who> {
  readonly id: string = randomBytes(9).toString('base64url')
  readonly address: string
  readonly deflates: boolean
  readonly #host: ConnectionHost<Who>
  readonly #socket: ConnectionSocket
  readonly #stream: ConnectionStream
  readonly work: ConnectionWork = new ConnectionWork()
  readonly #identity: ConnectionIdentity<Who>
  readonly #rooms: ConnectionRooms<Who>
  #inbound: Taker | undefined
  #calls: ConnectionCalls<Who> | undefined
  #stalled: Set<Subscription> | undefined
  #phase: Phase = 'waiting'
  #heardAt = Date.now()
  #refused = 0
  #advised = ''

  constructor(
    host: ConnectionHost<Who>,
    socket: ConnectionSocket,
    stream: ConnectionStream,
    request: IncomingMessage,
  ) {
    this.#host = host
    this.#socket = socket
    this.#stream = stream
    this.#identity = new ConnectionIdentity(host, request)
    this.#rooms = new ConnectionRooms(host, this)
    this.deflates = socket.extensions !== ''
    this.address = request.socket.remoteAddress ?? ''
    socket.on('message', (data, binary) => this.#received(data, binary))
    socket.on('error', ignore)
    socket.on('close', (code) => this.#closed(code))
  }

  get who(): Who | undefined {
    return this.#identity.who
  }

  get phase(): Phase {
    return this.#phase
  }

  /** The rooms it is in or about to join, presence rooms included. */
  get rooms(): readonly string[] {
    return [...this.#rooms.names]
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
    if (this.#phase === 'closed') return
    const waits = this.#stalled !== undefined
    this.#stalled ??= new Set()
    this.#stalled.add(subscription)
    if (waits) return
    // A stream below its own mark has no 'drain' to come.
    if (this.#stream.writableNeedDrain) this.#stream.once('drain', () => this.#drained())
    else setTimeout(() => this.#drained(), 5)
  }

  /** Says goodbye with a code; a client that does not answer is cut off by `ws` after 30 s. */
  close(code: number, reason = ''): void {
    if (this.#phase === 'closed') return
    this.#socket.close(code, reason)
    // Who is thrown out is gone; anybody else may be back in a moment.
    this.#leave(code !== CLOSE.kicked)
  }

  /** Ends the socket at once. */
  terminate(): void {
    this.#socket.terminate()
    this.#leave(true)
  }

  /** Asks the client to move to another node after `delay`, and at the latest by `deadline`, in milliseconds. */
  advise(reason: 'drain' | 'rebalance', delay: number, deadline: number): void {
    if (this.#phase !== 'ready' || this.#advised === reason) return
    this.#advised = reason
    this.reply(['advice', reason, Math.round(delay), Math.round(deadline)])
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
    } else if (this.#identity.left(now) <= 0) this.close(CLOSE.tokenExpired, 'token expired')
    else {
      this.#rooms.expire(now)
      if (silent > heartbeat && !this.backlogged(16)) this.write(PING)
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
    this.#inbound ??= this.#host.limits.inbound()
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
    else this.reply(['err', id, 'rate_limited', 'too many messages', true, 1_000])
  }

  async #dispatch(message: Exclude<ClientMessage, { type: 'hello' | 'ping' | 'pong' }>): Promise<void> {
    switch (message.type) {
      case 'sub':
        return await this.#rooms.subscribe(message)
      case 'unsub':
        this.#rooms.leave(message.room)
        return this.reply(['ok', message.id, null])
      case 'pub':
        return await this.#rooms.publish(message)
      case 'who':
        return await this.#rooms.who(message.id, message.room)
      case 'call':
        return await this.#call(message.id, message.method, message.input)
      case 'cancel':
        this.#calls?.cancel(message.id)
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
    let refusal: number | undefined
    try {
      refusal = await this.work.run((signal) => this.#identity.prove(message.token, message.info, signal))
    } catch (error) {
      if (this.#phase !== 'authenticating') return
      this.#host.failed('authenticate', error)
      this.close(CLOSE.internal, 'authentication is not available')
      return
    }
    const who = this.#identity.who
    if (this.#phase !== 'authenticating') return
    if (refusal !== undefined || !who) {
      this.close(
        refusal ?? CLOSE.unauthorized,
        refusal === CLOSE.tokenExpired ? 'token expired' : 'unauthorized',
      )
    } else if (message.rooms.length > this.#host.limits.rooms) {
      this.close(CLOSE.limit, 'too many rooms')
    } else if (!this.#host.admit(this, who.userId)) {
      this.close(CLOSE.limit, 'too many connections')
    } else {
      this.#phase = 'ready'
      this.reply(['welcome', message.id, this.#welcome()])
      for (const request of message.rooms) {
        this.#rooms.subscribe(request).catch((error: unknown) => this.#fail(request.id, error))
      }
    }
  }

  #welcome(): Welcome {
    const { heartbeat, limits, node } = this.#host
    return {
      connection: this.id,
      node,
      ping: heartbeat,
      time: Date.now(),
      payload: limits.payload,
      rooms: limits.rooms,
      ...this.#expiry(),
    }
  }

  #expiry(): { readonly expiresIn?: number } {
    const left = this.#identity.left()
    return Number.isFinite(left) ? { expiresIn: Math.max(0, Math.round(left)) } : {}
  }

  async #refresh(id: number, token: string): Promise<void> {
    const refusal = await this.work.run((signal) => this.#identity.refresh(token, signal))
    if (this.#phase !== 'ready') return
    if (refusal === undefined) this.reply(['ok', id, this.#expiry()])
    else this.close(CLOSE.unauthorized, 'the fresh token was refused')
  }

  async #call(id: number, method: string, input: unknown): Promise<void> {
    const { who } = this
    if (!who) return
    const caller = { who, connection: this.id }
    this.#calls ??= new ConnectionCalls((...call) => this.#host.call(...call))
    const taken = await this.#calls.run(id, method, input, caller, (message) => this.reply(message))
    if (!taken) this.reply(['err', id, 'busy', 'busy', true, 0])
  }

  #fail(id: number, error: unknown): void {
    if (this.#phase !== 'ready') return
    const told = this.#host.tell(error)
    this.reply(['err', id, told.code, told.message, told.retryable, 0])
  }

  reply(message: readonly unknown[]): void {
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

  #drained(): void {
    const stalled = this.#stalled
    this.#stalled = undefined
    for (const subscription of stalled ?? []) subscription.room.pump(subscription)
  }

  #closed(code: number): void {
    // 1000 is the client's goodbye; after anything else it may be back in a moment.
    this.#leave(code !== CLOSE.normal)
    this.#host.left(this)
  }

  // Gives everything back; the socket itself may still be closing.
  #leave(broken: boolean): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#identity.end()
    const reason = new RealtimeError('REALTIME_ERR_CLOSED', 'the connection was closed')
    this.work.end(reason)
    this.#calls?.close(reason)
    this.#rooms.leaveAll(broken)
    this.#stalled = undefined
  }
}

// ws closes with the right code by itself after a protocol error.
function ignore(): void {}

const PING = encodeFrame('["ping"]')
const PONG = encodeFrame('["pong"]')
