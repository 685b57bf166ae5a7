import { backoff } from '@cays/core/backoff'
import { parseDuration } from '@cays/core/duration'
import { RealtimeClientError } from './client-error.ts'
import { ClientHandle, type RoomHandleOptions } from './client-handle.ts'
import { Link, openSocket, type WebSocketConstructor } from './client-link.ts'
import { ClientPresence } from './client-presence.ts'
import { ClientRequests } from './client-requests.ts'
import type { ClientRoom } from './client-room.ts'
import { ClientRooms } from './client-rooms.ts'
import { Signal } from './client-signal.ts'
import type { CallOptions, ClientOptions, ClientStatus, TokenRequest } from './client-types.ts'
import { onWake } from './client-wake.ts'
import { CLOSE, isTerminalClose, type Position, PRESENCE_PREFIX, USER_ROOM } from './protocol.ts'
import { formatRoom } from './room-name.ts'

/**
 * The client behind its types: which connection serves, when the next one is opened, and what is said first
 * on it. Rooms keep their own positions, requests their own answers.
 */
export class Client {
  readonly #options: ClientOptions
  readonly #requests: ClientRequests
  readonly #rooms: ClientRooms
  readonly #statuses = new Signal<[status: ClientStatus]>()
  readonly #controller = new AbortController()
  readonly #pauses: { readonly base: number; readonly cap: number }
  readonly #timeout: number
  #status: ClientStatus = 'idle'
  #error: RealtimeClientError | undefined
  #link: Link | undefined
  // The connection that takes over during a handoff.
  #next: Link | undefined
  #connecting = false
  #attempt = 0
  #tokenReason: TokenRequest['reason'] = 'connect'
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #refreshTimer: ReturnType<typeof setTimeout> | undefined
  #adviceTimer: ReturnType<typeof setTimeout> | undefined
  #sleep: (() => void) | undefined

  constructor(options: ClientOptions) {
    this.#options = options
    const { queue } = options
    this.#pauses = {
      base: parseDuration(options.backoff?.base) ?? 500,
      cap: parseDuration(options.backoff?.cap) ?? 20_000,
    }
    this.#timeout = parseDuration(options.timeout) ?? 10_000
    this.#requests = new ClientRequests(queue?.size ?? 100, parseDuration(queue?.ttl) ?? 30_000)
    this.#rooms = new ClientRooms(this.#requests, this.#pauses, () => [this.#link, this.#next])
  }

  get status(): ClientStatus {
    return this.#status
  }

  get error(): RealtimeClientError | undefined {
    return this.#error
  }

  onStatus(listener: (status: ClientStatus) => void): () => void {
    return this.#statuses.add(listener)
  }

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        if (this.#status === 'connected') resolve()
        else if (this.#status === 'stopped' || this.#status === 'closed') reject(this.#ending())
        else return false
        return true
      }
      if (settle()) return
      const remove = this.#statuses.add(() => settle() && remove())
      this.#start()
    })
  }

  room(
    pattern: string,
    params?: Readonly<Record<string, unknown>>,
    options: RoomHandleOptions<unknown> = {},
  ) {
    return this.#hold(nameOf(pattern, params), options)
  }

  presence(pattern: string, params?: Readonly<Record<string, unknown>>) {
    const name = PRESENCE_PREFIX + nameOf(pattern, params)
    const getState = async () => {
      const roster = await this.#ask(['who', name])
      return { state: (roster as { members: unknown }).members, position: roster as Position }
    }
    this.#start()
    const room = this.#rooms.join(name)
    return new ClientPresence(this.#handle(room, { getState }), room)
  }

  user() {
    return this.#hold(USER_ROOM, {})
  }

  call(method: string, input: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.#ask(['call', method, input ?? null], options)
  }

  async #ask(message: readonly [string, ...unknown[]], options: CallOptions = {}): Promise<unknown> {
    this.#start()
    const timeout = parseDuration(options.timeout) ?? 10_000
    return await this.#requests.call(this.#link, message, timeout, options.signal)
  }

  async close(): Promise<void> {
    this.#end('closed')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #hold(name: string, options: RoomHandleOptions<unknown>): ClientHandle {
    this.#start()
    return this.#handle(this.#rooms.join(name), options)
  }

  #handle(room: ClientRoom, options: RoomHandleOptions<unknown>): ClientHandle {
    return new ClientHandle(room, options, {
      publish: (event, data, { idempotencyKey, signal } = {}) => {
        this.#start()
        const link = room.isServedBy(this.#link as Link) ? this.#link : undefined
        return this.#requests.publish(link, room, event, data, idempotencyKey, signal)
      },
      send: (event, data) => this.#link?.send(['pub', 0, room.name, event, data ?? null]),
      left: () => this.#rooms.leave(room),
    })
  }

  #start(): void {
    if (this.#status !== 'idle') {
      if (this.#status === 'stopped' || this.#status === 'closed') throw this.#ending()
      return
    }
    this.#sleep = onWake({
      wake: () => this.#woken(),
      hide: () => this.#link?.close(CLOSE.pageHidden, 'page hidden'),
    })
    this.#setStatus('connecting')
    void this.#open()
  }

  // Sleep over, network back, page shown again: find out at once instead of waiting for a timer.
  #woken(): void {
    if (this.#link?.open) this.#link.probe(5_000)
    else if (this.#status === 'waiting') this.#retry(0)
  }

  async #open(): Promise<void> {
    if (this.#connecting) return
    this.#connecting = true
    try {
      const { getToken, url, info } = this.#options
      const { signal } = this.#controller
      const token = getToken ? await getToken({ reason: this.#tokenReason, signal }) : ''
      const address = typeof url === 'string' ? url : await url()
      if (signal.aborted) return
      const link: Link = new Link({
        socket: openSocket(this.#webSocket(), address),
        timeout: this.#timeout,
        hello: () => [this.#hello(link, token, info)],
        message: (from, message) => this.#received(from, message),
        closed: (from, code, reason) => this.#closed(from, code, reason),
      })
      if (this.#link) this.#next = link
      else this.#link = link
    } catch (error) {
      if (error instanceof RealtimeClientError) this.#end('stopped', error)
      else if (!this.#link) this.#retry(backoff(this.#attempt++, this.#pauses))
    } finally {
      this.#connecting = false
    }
  }

  #webSocket(): WebSocketConstructor {
    const found =
      this.#options.WebSocket ?? (globalThis as unknown as { WebSocket?: WebSocketConstructor }).WebSocket
    if (found) return found
    throw new RealtimeClientError(
      'REALTIME_ERR_NO_WEBSOCKET',
      'pass a WebSocket: createClient({ WebSocket })',
    )
  }

  #hello(link: Link, token: string, info: unknown): readonly unknown[] {
    return ['hello', this.#requests.id(), token, info ?? null, this.#rooms.hello(link)]
  }

  #received(link: Link, message: readonly unknown[]): void {
    if (this.#rooms.received(link, message)) {
      if (message[0] === 'subscribed') this.#maybeSwitch()
      return
    }
    const [type, second, third, fourth, fifth] = message
    switch (type) {
      case 'ok':
        this.#requests.settle(Number(second), third)
        return
      case 'err':
        this.#requests.fail(Number(second), String(third), String(fourth), fifth === true)
        this.#maybeSwitch()
        return
      case 'welcome':
        this.#welcomed(link)
        return
      case 'advice':
        this.#advised(Number(third))
        return
    }
  }

  #welcomed(link: Link): void {
    this.#tokenReason = 'connect'
    this.#refreshBefore(link, link.welcome?.expiresIn)
    if (link === this.#link) {
      this.#setStatus('connected')
      this.#rooms.servedBy(link)
      this.#requests.flush(link)
    } else this.#maybeSwitch()
  }

  // Asks for a fresh token when a fifth of the present one's life is left.
  #refreshBefore(link: Link, expiresIn: number | undefined): void {
    const { getToken } = this.#options
    if (expiresIn === undefined || !getToken) return
    clearTimeout(this.#refreshTimer)
    this.#refreshTimer = setTimeout(async () => {
      try {
        const token = await getToken({ reason: 'refresh', signal: this.#controller.signal })
        const id = this.#requests.expect(link, {
          resolve: (result) =>
            this.#refreshBefore(link, (result as { expiresIn?: number } | null)?.expiresIn),
          reject: () => {},
        })
        link.send(['refresh', id, token])
      } catch {
        // The server will end the connection when the token does; the next attempt asks again.
      }
    }, expiresIn * 0.8)
  }

  #advised(after: number): void {
    clearTimeout(this.#adviceTimer)
    this.#adviceTimer = setTimeout(() => {
      if (this.#link?.open && !this.#next) void this.#open()
    }, after)
  }

  // The new connection takes over once every room is subscribed on it.
  #maybeSwitch(): void {
    const next = this.#next
    if (!next?.welcome || this.#requests.isAsking(next)) return
    const old = this.#link
    this.#link = next
    this.#next = undefined
    this.#requests.flush(next)
    this.#rooms.servedBy(next)
    // Answers under way may still come over the old connection.
    setTimeout(() => old?.close(CLOSE.normal, 'moved'), this.#requests.has(old) ? 2_000 : 0)
  }

  #closed(link: Link, code: number, reason: string): void {
    this.#rooms.interrupted(link)
    this.#requests.lost(link)
    if (link === this.#next) {
      this.#next = undefined
      if (this.#link?.open) {
        this.#advised(backoff(this.#attempt++, this.#pauses))
        return
      }
    }
    if (link !== this.#link) return
    this.#link = this.#next
    this.#next = undefined
    if (this.#link) {
      if (this.#link.welcome) this.#welcomed(this.#link)
      else this.#setStatus('connecting')
      return
    }
    clearTimeout(this.#refreshTimer)
    clearTimeout(this.#adviceTimer)
    if (this.#status === 'closed' || this.#status === 'stopped') return
    if (isTerminalClose(code)) {
      const error = new RealtimeClientError(
        'REALTIME_ERR_STOPPED',
        reason || 'the server ended the connection',
        {
          closeCode: code,
        },
      )
      this.#end('stopped', error)
      return
    }
    if (link.welcome && Date.now() - link.openedAt > 5_000) this.#attempt = 0
    if (code === CLOSE.tokenExpired) this.#tokenReason = 'expired'
    const advised = code === CLOSE.tryLater ? Number(reason) || 0 : 0
    this.#retry(advised + backoff(this.#attempt++, this.#pauses))
  }

  #retry(after: number): void {
    this.#setStatus('waiting')
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => {
      this.#setStatus('connecting')
      void this.#open()
    }, after)
  }

  #end(status: 'stopped' | 'closed', error?: RealtimeClientError): void {
    if (this.#status === 'closed' || this.#status === status) return
    this.#error = error
    this.#setStatus(status)
    this.#controller.abort(this.#ending())
    this.#sleep?.()
    for (const timer of [this.#retryTimer, this.#refreshTimer, this.#adviceTimer]) clearTimeout(timer)
    this.#rooms.close()
    for (const link of [this.#link, this.#next]) link?.close()
    this.#requests.close(this.#ending())
  }

  #ending(): RealtimeClientError {
    return this.#error ?? new RealtimeClientError('REALTIME_ERR_CLOSED', 'the client was closed')
  }

  #setStatus(status: ClientStatus): void {
    if (this.#status === status) return
    this.#status = status
    this.#statuses.emit(status)
  }
}

function nameOf(pattern: string, params: Readonly<Record<string, unknown>> | undefined): string {
  const name = formatRoom(pattern, params)
  if (name !== undefined) return name
  throw new RealtimeClientError('REALTIME_ERR_UNKNOWN_ROOM', `room '${pattern}': a parameter is missing`)
}
