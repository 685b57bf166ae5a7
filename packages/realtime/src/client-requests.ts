import { RealtimeClientError } from './client-error.ts'
import type { Link } from './client-link.ts'
import type { ClientRoom } from './client-room.ts'
import type { Position } from './protocol.ts'

interface Answer {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: RealtimeClientError) => void
}

interface Request extends Answer {
  /** The connection it was sent on; absent while it waits for one. */
  link: Link | undefined
  /** The message after its type and id, for what may be sent (again) later. */
  readonly message?: readonly [type: string, ...rest: readonly unknown[]]
  /** A publish waits for its room and is sent again after a lost connection, with the same key. */
  readonly room?: ClientRoom
  /** The room whose `subscribed` is awaited. */
  readonly asking?: ClientRoom | undefined
}

/** Everything the client asked and has no answer to yet. */
export class ClientRequests {
  readonly #size: number
  readonly #ttl: number
  readonly #waiting = new Map<number, Request>()
  #id = 0

  constructor(size: number, ttl: number) {
    this.#size = size
    this.#ttl = ttl
  }

  id(): number {
    return ++this.#id
  }

  /** Registers a subscribe, refresh or the like that lives and dies with its connection. */
  expect(link: Link, answer: Answer, asking?: ClientRoom): number {
    const id = this.id()
    this.#waiting.set(id, { ...answer, link, asking })
    return id
  }

  call(
    link: Link | undefined,
    message: readonly [string, ...unknown[]],
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    return this.#ask(link, { message }, timeout, signal)
  }

  publish(
    link: Link | undefined,
    room: ClientRoom,
    event: string,
    data: unknown,
    key: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Position | null> {
    if (room.denial) return Promise.reject(room.denial)
    let queued = 0
    for (const request of this.#waiting.values()) if (request.room) queued++
    if (queued >= this.#size) {
      return Promise.reject(
        new RealtimeClientError('REALTIME_ERR_QUEUE_FULL', 'too many publishes wait', { retryable: true }),
      )
    }
    const message = ['pub', room.name, event, data ?? null, key ?? randomKey()] as const
    return this.#ask(link, { message, room }, this.#ttl, signal) as Promise<Position | null>
  }

  /** Sends what waited, in the order it was asked; a publish only once its room is subscribed. */
  flush(link: Link, room?: string): void {
    if (!link.welcome) return
    for (const [id, request] of this.#waiting) {
      if (request.link || !request.message || (room !== undefined && request.room?.name !== room)) continue
      if (request.room && !request.room.isServedBy(link)) continue
      this.#send(link, id, request)
    }
  }

  settle(id: number, result?: unknown): void {
    this.#take(id)?.resolve(result)
  }

  fail(id: number, code: string, message: string, retryable: boolean): void {
    const details = { remoteCode: code, retryable }
    this.#take(id)?.reject(new RealtimeClientError('REALTIME_ERR_REMOTE', message, details))
  }

  /** True while a subscribe of this room, or of any, is unanswered on the connection. */
  isAsking(link: Link, room?: ClientRoom): boolean {
    for (const { asking, link: on } of this.#waiting.values()) {
      if (asking && on === link && (!room || room === asking)) return true
    }
    return false
  }

  has(link: Link | undefined): boolean {
    for (const request of this.#waiting.values()) if (request.link === link) return true
    return false
  }

  /** A connection is gone: publishes wait for the next one, calls fail, the rest goes with it. */
  lost(link: Link): void {
    for (const [id, request] of this.#waiting) {
      if (request.link !== link) continue
      if (request.room) request.link = undefined
      else {
        this.#waiting.delete(id)
        request.reject(
          new RealtimeClientError('REALTIME_ERR_DISCONNECTED', 'the connection was lost', {
            retryable: true,
          }),
        )
      }
    }
  }

  /** Publishes that wait for a room wait for nothing once it is denied. */
  denied(room: ClientRoom): void {
    for (const [id, request] of this.#waiting) {
      if (request.room === room && room.denial) this.#take(id)?.reject(room.denial)
    }
  }

  close(error: RealtimeClientError): void {
    for (const request of this.#waiting.values()) request.reject(error)
    this.#waiting.clear()
  }

  #ask(
    link: Link | undefined,
    request: Pick<Request, 'message' | 'room'>,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const id = this.id()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      const giveUp = (reason: unknown) => {
        const sent = this.#take(id)?.link
        if (request.message?.[0] === 'call') sent?.send(['cancel', id])
        done()
        reject(reason)
      }
      const abort = () => giveUp(signal?.reason)
      const timer = setTimeout(
        () =>
          giveUp(new RealtimeClientError('REALTIME_ERR_TIMEOUT', 'no answer in time', { retryable: true })),
        timeout,
      )
      signal?.addEventListener('abort', abort, { once: true })
      const entry: Request = {
        ...request,
        link: undefined,
        resolve: (result) => {
          done()
          resolve(result)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      this.#waiting.set(id, entry)
      if (link?.welcome) this.#send(link, id, entry)
    })
  }

  #send(link: Link, id: number, request: Request): void {
    const [type, ...rest] = request.message ?? []
    request.link = link
    link.send([type, id, ...rest])
  }

  #take(id: number): Request | undefined {
    const request = this.#waiting.get(id)
    this.#waiting.delete(id)
    return request
  }
}

function randomKey(): string {
  // Present in every browser and in Node 20; unlike randomUUID also on pages without TLS.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(36)).join('')
}
