import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { MAX_TIMER } from '@cays/core/duration'
import { authenticate, type R2Account } from './r2-authentication.ts'
import { R2Body } from './r2-body.ts'
import { corsHeaders, preflightHeaders } from './r2-cors.ts'
import type { R2FaultPlan } from './r2-faults.ts'
import { R2Headers } from './r2-headers.ts'
import { authorize } from './r2-identity.ts'
import { Cut, R2Impairment } from './r2-impairment.ts'
import { operationOf, type R2Operation, refuseMissingHeaders } from './r2-operation.ts'
import { R2_OPERATIONS } from './r2-operations.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import type { R2Store } from './r2-store.ts'
import { parseTarget, type R2Target } from './r2-uri.ts'
import type { WriteLimit } from './r2-write-limit.ts'

/** What all exchanges of one server share. */
export interface R2Service extends R2Account {
  readonly store: R2Store
  readonly faults: R2FaultPlan
  readonly writeLimit: WriteLimit | undefined
  /** How long content may take, either way: `base` ms, and the time it takes at `bytesPerSecond`. */
  readonly patience: { readonly base: number; readonly bytesPerSecond: number }
  /** Resolves when the server is not frozen, or when the signal aborts. */
  thawed(signal: AbortSignal): Promise<void>
  /** Called once for every request that was answered or cut. */
  finished(summary: R2Exchange): void
}

/** What became of one request. */
export interface R2Exchange {
  /** Undefined when the request was refused before its operation was known. */
  readonly operation: R2Operation | undefined
  readonly bucket: string
  readonly key: string
  /** Undefined when the connection ended before a status was sent. */
  readonly status: number | undefined
  /** Bytes of content that arrived and were sent. */
  readonly received: number
  readonly sent: number
}

const WRITES = new Set<R2Operation>(['PutObject', 'CopyObject', 'DeleteObject', 'CompleteMultipartUpload'])

/** Handles one request from its first header to the last byte of its answer. Never rejects. */
export async function handleExchange(
  service: R2Service,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = new Exchange(service, message, response)
  try {
    await exchange.run()
  } catch (error) {
    await exchange.fail(error).catch(() => message.socket.destroy())
  } finally {
    service.finished(exchange.summary())
  }
}

class Exchange {
  readonly #service: R2Service
  readonly #message: IncomingMessage
  readonly #response: ServerResponse
  readonly #headers: R2Headers
  readonly #closed = new AbortController()
  #target: R2Target | undefined
  #operation: R2Operation | undefined
  #impairment: R2Impairment | undefined
  #received = 0
  #sent = 0

  constructor(service: R2Service, message: IncomingMessage, response: ServerResponse) {
    this.#service = service
    this.#message = message
    this.#response = response
    this.#headers = new R2Headers(message)
    response.once('close', () => this.#closed.abort())
  }

  async run(): Promise<void> {
    await this.#service.thawed(this.#closed.signal)
    const length = Number(this.#headers.get('content-length') ?? 0)
    await this.#within(
      length,
      () => this.#message.complete,
      () => this.#perform(),
    )
  }

  async #perform(): Promise<void> {
    const method = this.#message.method ?? ''
    const target = parseTarget(this.#message.url ?? '', this.#headers.get('host') ?? '')
    this.#target = target
    if (method === 'OPTIONS') {
      const { cors } = this.#service.store.bucket(target.bucket)
      return this.#send({ status: 204, headers: preflightHeaders(cors, (name) => this.#headers.get(name)) })
    }
    const operation = operationOf(method, target, this.#headers)
    this.#operation = operation
    const { claim, identity, signature } = authenticate(this.#service, method, target, this.#headers)
    const scopeKey =
      operation.startsWith('List') && target.key === '' ? (target.query.get('prefix') ?? '') : target.key
    authorize(identity, operation, target.bucket, scopeKey)
    refuseMissingHeaders(operation, this.#headers)
    const partNumber = Number(target.query.get('partNumber'))
    const harm = this.#service.faults.strike(operation, target.key, partNumber || undefined)
    const impairment = new R2Impairment(harm, this.#message.socket, this.#closed.signal)
    this.#impairment = impairment
    await impairment.before()
    if (WRITES.has(operation)) this.#service.writeLimit?.take(target.bucket, target.key)
    const request: R2Request = {
      operation,
      target,
      identity,
      headers: this.#headers,
      store: this.#service.store,
      now: this.#service.now(),
      origin: `http://${this.#headers.get('host') ?? ''}`,
      body: () => new R2Body(this.#incoming(), this.#headers, claim.payloadHash, signature),
    }
    const reply = await R2_OPERATIONS[operation](request)
    try {
      impairment.after()
      await this.#send(reply)
    } finally {
      await reply.content?.return()
    }
  }

  async fail(error: unknown): Promise<void> {
    if (error instanceof Cut || this.#message.socket.destroyed) return
    if (this.#response.headersSent) {
      this.#message.socket.destroy()
      return
    }
    const refusal = error instanceof S3Error ? error : internal(error)
    await this.#send({ status: refusal.status, xml: refusal.toXml(requestId()) })
  }

  summary(): R2Exchange {
    return {
      operation: this.#operation,
      bucket: this.#target?.bucket ?? '',
      key: this.#target?.key ?? '',
      status: this.#response.headersSent ? this.#response.statusCode : undefined,
      received: this.#received,
      sent: this.#sent,
    }
  }

  /** Closes the connection unless `isDone` by the time that many bytes take at a modest speed. */
  async #within(bytes: number, isDone: () => boolean, work: () => Promise<void>): Promise<void> {
    const { base, bytesPerSecond } = this.#service.patience
    const close = () => {
      if (!isDone()) this.#message.socket.destroy()
    }
    const timer = setTimeout(close, Math.min(base + (bytes / bytesPerSecond) * 1000, MAX_TIMER))
    try {
      await work()
    } finally {
      clearTimeout(timer)
    }
  }

  async *#incoming(): AsyncGenerator<Buffer, void, undefined> {
    // Leaving the loop early must not destroy the socket: a refusal still has to be sent through it.
    const raw = this.#message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
    for await (const chunk of this.#impairment?.incoming(raw) ?? raw) {
      this.#received += chunk.length
      yield chunk
    }
    if (!this.#message.complete) throw new S3Error('IncompleteBody')
  }

  async *#outgoing(
    content: AsyncGenerator<Buffer, void, undefined>,
  ): AsyncGenerator<Buffer, void, undefined> {
    const flush = async (bytes: Buffer) => {
      this.#sent += bytes.length
      await this.#settled((done) => this.#response.write(bytes, done))
    }
    for await (const piece of this.#impairment?.outgoing(content, flush) ?? content) {
      this.#sent += piece.length
      yield piece
    }
  }

  /** Waits for a callback of the response, which never comes once the connection is gone. */
  #settled(begin: (done: () => void) => void): Promise<void> {
    const { signal } = this.#closed
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
      begin(resolve)
    })
  }

  async #send(reply: R2Reply): Promise<void> {
    const response = this.#response
    const isHead = this.#message.method === 'HEAD'
    const rules = this.#corsRules()
    const headers: Record<string, string> = {
      date: new Date(this.#service.now()).toUTCString(),
      'x-amz-request-id': requestId(),
      ...corsHeaders(rules, this.#headers.get('origin'), this.#message.method ?? ''),
      ...reply.headers,
    }
    if (reply.xml !== undefined) headers['content-type'] = 'application/xml'
    const xml = reply.xml === undefined || isHead ? undefined : Buffer.from(reply.xml)
    if (xml !== undefined) headers['content-length'] = String(xml.length)
    else if (reply.content === undefined && reply.status !== 204 && reply.status !== 304)
      headers['content-length'] ??= '0'
    // What is left of a body that was refused would be read as the next request.
    const unread = !this.#message.complete
    if (unread) headers.connection = 'close'
    response.writeHead(reply.status, headers)
    if (reply.content !== undefined) {
      const content = this.#outgoing(reply.content)
      const length = Number(headers['content-length'] ?? 0)
      await this.#within(
        length,
        () => response.closed,
        () => pipeline(content, response),
      )
    } else await this.#settled((done) => response.end(xml, done))
    if (xml !== undefined) this.#sent += xml.length
    if (unread) this.#discardRest()
  }

  #corsRules() {
    const bucket = this.#target?.bucket ?? ''
    return this.#service.store.has(bucket) ? this.#service.store.bucket(bucket).cors : undefined
  }

  /** Reads on for a moment, so that the sender gets to see the answer before the connection closes. */
  #discardRest(): void {
    const { socket } = this.#message
    let left = 64 * 1024 * 1024
    const timer = setTimeout(() => socket.destroy(), 5000)
    this.#message.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) socket.destroy()
    })
    this.#message.once('close', () => clearTimeout(timer))
    this.#message.once('end', () => socket.destroySoon())
    this.#message.resume()
  }
}

function requestId(): string {
  return randomBytes(8).toString('hex').toUpperCase()
}

// The code of a system error (ENOSPC, EMFILE) is what its reader needs; anything else stays inside.
function internal(error: unknown): S3Error {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return new S3Error(
    'InternalError',
    code === undefined ? undefined : `The server failed with ${code}. Try again.`,
  )
}
