import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { StorageError } from './errors.ts'
import { encode } from './presign.ts'

/** The part of the SDK's request that matters on the wire. */
export interface WireRequest {
  readonly protocol?: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface WireResponse {
  readonly statusCode: number
  readonly reason: string | undefined
  readonly headers: Record<string, string>
  readonly body: IncomingMessage
}

/** Pieces in which a body is handed to the kernel: each one that it takes is a sign of life. */
const SLICE = 2 ** 16
const MAX_SOCKETS = 256
/** Looks at a request per timeout. */
const LOOKS = 10

/**
 * The SDK's transport, with one rule about time: a request fails when for `timeout` nothing has moved, be it
 * the connection, its upload, the wait for the answer or its download. Time that the reader of an answer takes
 * does not count, nor does the length of a transfer that moves. (The SDK's own handler limits the time of a
 * whole upload instead, counts a slow reader as a stall, and means other things in other versions.)
 */
export class S3Http {
  readonly metadata: { readonly handlerProtocol: string } = { handlerProtocol: 'http/1.1' }
  readonly #timeout: number
  readonly #agent: Agent
  readonly #secureAgent: SecureAgent
  readonly #active = new Set<(error: Error) => void>()
  #closed = false

  constructor(timeout: number) {
    this.#timeout = timeout
    this.#agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
    this.#secureAgent = new SecureAgent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  }

  handle(
    message: WireRequest,
    options: { readonly abortSignal?: unknown } = {},
  ): Promise<{ readonly response: WireResponse }> {
    // We pass the platform's own; the SDK's type allows lesser ones.
    const abortSignal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(closed())
      if (abortSignal?.aborted) return reject(aborted())
      const secure = message.protocol !== 'http:'
      const request = (secure ? secureRequest : plainRequest)({
        host: message.hostname.replace(/^\[|\]$/g, ''),
        port: message.port,
        method: message.method,
        path: message.path + queryOf(message.query),
        headers: message.headers,
        agent: secure ? this.#secureAgent : this.#agent,
      })
      let answer: IncomingMessage | undefined
      const fail = (error: Error) => {
        answer?.destroy(error)
        request.destroy(error)
        reject(error)
      }
      const abort = () => fail(aborted())
      const upload = { sent: 0 }
      this.#active.add(fail)
      abortSignal?.addEventListener('abort', abort, { once: true })
      request.once('socket', () => watch(request, () => answer, upload, this.#timeout, fail))
      request.once('close', () => {
        this.#active.delete(fail)
        abortSignal?.removeEventListener('abort', abort)
      })
      request.on('error', reject)
      request.once('response', (response) => {
        answer = response
        resolve({
          response: {
            statusCode: response.statusCode ?? 0,
            reason: response.statusMessage,
            headers: joined(response.headers),
            body: response,
          },
        })
      })
      send(request, message.body, upload)
    })
  }

  /** Ends every request under way, and takes no more. */
  destroy(): void {
    this.#closed = true
    for (const fail of this.#active) fail(closed())
    this.#agent.destroy()
    this.#secureAgent.destroy()
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): Record<string, never> {
    return {}
  }
}

function watch(
  request: ClientRequest,
  answer: () => IncomingMessage | undefined,
  upload: { readonly sent: number },
  timeout: number,
  fail: (error: Error) => void,
): void {
  const { socket } = request
  let seen = ''
  let quiet = 0
  const timer = setInterval(() => {
    const response = answer()
    // All is here, or the reader has yet to take what is here: nothing to wait for on the wire.
    const idle = response?.complete || (response?.readableLength ?? 0) > 0
    const now = `${socket?.connecting} ${upload.sent} ${socket?.bytesRead} ${response === undefined}`
    // What the kernel has taken leaves unseen: a second for each MiB, before the answer can be late.
    const unseen = response ? 0 : (upload.sent / 2 ** 20) * (1_000 / timeout)
    if (idle || now !== seen) {
      seen = now
      quiet = 0
      // Looks are counted, not time: while this process stood still, nobody could see anything move.
    } else if (++quiet >= LOOKS * (1 + unseen)) {
      fail(Object.assign(new Error('nothing has moved for too long'), { name: 'TimeoutError' }))
    }
  }, timeout / LOOKS)
  request.once('close', () => clearInterval(timer))
}

async function send(request: ClientRequest, body: unknown, upload: { sent: number }): Promise<void> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body instanceof Uint8Array ? body : undefined
  for (let at = 0; bytes && at < bytes.length && !request.destroyed; at += SLICE) {
    const slice = bytes.subarray(at, at + SLICE)
    // The callback may never come when the connection breaks; nobody waits for this function.
    await new Promise<void>((resolve) => request.write(slice, () => resolve()))
    upload.sent += slice.length
  }
  if (!request.destroyed) request.end()
}

function queryOf(query: WireRequest['query'] = {}): string {
  const pairs = Object.keys(query)
    .sort()
    .flatMap((name) =>
      [query[name] ?? null]
        .flat()
        .map((value) => (value === null ? encode(name) : `${encode(name)}=${encode(value)}`)),
    )
  return pairs.length > 0 ? `?${pairs.join('&')}` : ''
}

function joined(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  )
}

function aborted(): Error {
  return Object.assign(new Error('the caller aborted the request'), { name: 'AbortError' })
}

function closed(): StorageError {
  return new StorageError('STORAGE_ERR_CLOSED', 'the storage was closed before the call ended')
}
