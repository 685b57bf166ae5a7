import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { EventStream } from './event-stream.ts'
import type { Hold } from './node-rooms.ts'
import type { RoomAddress } from './room-registry.ts'
import type { Taker } from './token-bucket.ts'
import { isForeign } from './upgrade.ts'

export interface EventStreamsOptions {
  readonly node: string
  readonly origins: readonly string[] | 'any'
  readonly payload: number
  readonly inbound: () => Taker
  /** What all nodes share and nobody else knows. */
  readonly secret: () => Promise<string>
  readonly opened: (stream: EventStream, request: IncomingMessage) => void
  readonly hold: (inbox: RoomAddress, listener: (text: string) => void) => Hold
  readonly forward: (inbox: RoomAddress, frame: object, key: string) => Promise<unknown>
}

interface Frame {
  readonly id: string
  readonly sequence: number
  readonly text: string
  readonly code?: number
}

const MAX_LIMITERS = 10_000
const HEADER = 512

/**
 * Connections of clients that cannot have a WebSocket. One request carries the answer stream; what the
 * client says comes in requests of its own, which a load balancer may give to any node. A node passes on what
 * is not for its own streams through a room: in order, once, and repaired like any room when Redis hiccups.
 */
export class EventStreams {
  readonly #options: EventStreamsOptions
  readonly #streams = new Map<string, EventStream>()
  readonly #limiters = new Map<string, Taker>()
  #inbox: { readonly hold: Hold; readonly ready: Promise<void> } | undefined
  #secret = ''

  constructor(options: EventStreamsOptions) {
    this.#options = options
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    try {
      response.statusCode = await this.#answer(request, response)
    } catch {
      // Redis is away: the client tries again.
      if (!response.headersSent) response.statusCode = 503
    }
    if (!response.headersSent) response.end()
  }

  close(): void {
    this.#inbox?.hold[Symbol.dispose]()
    this.#limiters.clear()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
    const { origins, payload } = this.#options
    if (isForeign(request, origins)) return 403
    const { origin } = request.headers
    if (origin !== undefined) {
      response.setHeader('access-control-allow-origin', origin)
      response.setHeader('access-control-allow-credentials', 'true')
    }
    response.setHeader('vary', 'origin')
    response.setHeader('cache-control', 'no-store, no-transform')
    if (request.method !== 'POST') return 405
    const body = await bodyOf(request, payload + HEADER)
    if (body === undefined) return 413
    if (!body.startsWith('["send"')) return await this.#open(request, response, body)
    return await this.#send(body)
  }

  async #open(request: IncomingMessage, response: ServerResponse, body: string): Promise<number> {
    const { node, opened, secret } = this.#options
    this.#secret = await secret()
    await this.#listen()
    if (request.socket.destroyed) return 400
    const id = randomBytes(12).toString('base64url')
    response.setHeader('content-type', 'text/event-stream')
    // Proxies that gather answers are asked not to.
    response.setHeader('x-accel-buffering', 'no')
    response.writeHead(200)
    const stream = new EventStream(id, this.#ticket(node, id), response)
    this.#streams.set(id, stream)
    stream.on('close', () => this.#streams.delete(id))
    opened(stream, request)
    stream.take(1, { text: body, code: undefined })
    return 200
  }

  async #send(body: string): Promise<number> {
    const end = body.indexOf('\n')
    const head = headOf(end === -1 ? body : body.slice(0, end))
    if (!head) return 400
    const { ticket, sequence, code } = head
    const [node = '', id = ''] = ticket.split('.')
    if (!(await this.#genuine(ticket, node, id))) return 403
    const text = end === -1 ? '' : body.slice(end + 1)
    const frame: Frame = { id, sequence, text, ...(code !== undefined && { code }) }
    if (node === this.#options.node) return this.#take(frame) ? 204 : 410
    if (!this.#limiter(id).take(1)) return 429
    await this.#options.forward(inboxOf(node), frame, `${id}:${sequence}`)
    return 202
  }

  #take({ id, sequence, text, code }: Frame): boolean {
    const stream = this.#streams.get(id)
    stream?.take(sequence, { text, code })
    return stream !== undefined
  }

  #limiter(id: string): Taker {
    let limiter = this.#limiters.get(id)
    if (!limiter) {
      limiter = this.#options.inbound()
      this.#limiters.set(id, limiter)
      const [oldest] = this.#limiters.keys()
      if (this.#limiters.size > MAX_LIMITERS && oldest !== undefined) this.#limiters.delete(oldest)
    }
    return limiter
  }

  async #listen(): Promise<void> {
    if (!this.#inbox) {
      const hold = this.#options.hold(inboxOf(this.#options.node), (text) => {
        const [, frame] = JSON.parse(`[${text}]`) as [string, Frame]
        this.#take(frame)
      })
      this.#inbox = { hold, ready: hold.room.start(false) }
    }
    await this.#inbox.ready
  }

  #ticket(node: string, id: string): string {
    const mac = createHmac('sha256', this.#secret).update(`${node}.${id}`).digest('base64url')
    return `${node}.${id}.${mac}`
  }

  async #genuine(ticket: string, node: string, id: string): Promise<boolean> {
    if (equal(ticket, this.#streams.get(id)?.ticket ?? '')) return true
    if (this.#secret !== '' && equal(ticket, this.#ticket(node, id))) return true
    // Redis may have been emptied since, and the nodes have agreed on another one.
    this.#secret = await this.#options.secret()
    return equal(ticket, this.#ticket(node, id))
  }
}

function inboxOf(node: string): RoomAddress {
  return { key: `!in:${node}`, pattern: '!', spec: { size: 2_000, ttl: 60_000 }, contract: undefined }
}

function headOf(line: string): { ticket: string; sequence: number; code: number | undefined } | undefined {
  try {
    const [, ticket, sequence, code] = JSON.parse(line) as readonly unknown[]
    if (typeof ticket !== 'string' || ticket.length > 128) return undefined
    if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 2) return undefined
    return { ticket, sequence, code: typeof code === 'number' ? code : undefined }
  } catch {
    return undefined
  }
}

function equal(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The text of a request, or `undefined` when it is longer than it may be. */
async function bodyOf(request: IncomingMessage, most: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size > most) return undefined
  }
  return Buffer.concat(chunks).toString()
}
