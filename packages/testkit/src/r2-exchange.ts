import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { R2Body } from './r2-body.ts'
import { corsHeaders, preflightHeaders } from './r2-cors.ts'
import type { R2FaultPlan, R2Harm } from './r2-faults.ts'
import { R2Headers } from './r2-headers.ts'
import { authorize, type R2Identity, temporaryIdentity } from './r2-identity.ts'
import { operationOf, type R2Operation, refuseMissingHeaders } from './r2-operation.ts'
import { R2_OPERATIONS } from './r2-operations.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import { readClaim, type SignatureClaim, type VerifiedSignature, verifySignature } from './r2-signature.ts'
import type { R2Store } from './r2-store.ts'
import { parseTarget, type R2Target } from './r2-uri.ts'
import type { WriteLimit } from './r2-write-limit.ts'

/** What all exchanges of one server share. */
export interface R2Service {
  readonly store: R2Store
  readonly identities: ReadonlyMap<string, R2Identity>
  readonly accountId: string
  readonly faults: R2FaultPlan
  readonly writeLimit: WriteLimit | undefined
  /** ms since the epoch, by the server's clock */
  now(): number
  /** Resolves when the server is not frozen. */
  thawed(): Promise<void>
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

// These carry the signature itself; all other x-amz parameters of a presigned URL stand for headers.
const SIGNATURE_PARAMETERS = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-signedheaders',
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-content-sha256',
])
const WRITES = new Set<R2Operation>(['PutObject', 'CopyObject', 'DeleteObject', 'CompleteMultipartUpload'])
const STATUS_CODES = { 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable' } as const

/** The connection was reset on purpose: there is nobody left to answer. */
class Cut extends Error {}

/** Handles one request from its first header to the last byte of its answer. Never rejects. */
export async function handleExchange(
  service: R2Service,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = new Exchange(service, message, response)
  try {
    await service.thawed()
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
  #target: R2Target | undefined
  #operation: R2Operation | undefined
  #harm: R2Harm | undefined
  #received = 0
  #sent = 0

  constructor(service: R2Service, message: IncomingMessage, response: ServerResponse) {
    this.#service = service
    this.#message = message
    this.#response = response
    this.#headers = new R2Headers(message)
  }

  async run(): Promise<void> {
    const method = this.#message.method ?? ''
    const target = parseTarget(this.#message.url ?? '', this.#headers.get('host') ?? '')
    this.#target = target
    if (method === 'OPTIONS') {
      const { cors } = this.#service.store.bucket(target.bucket)
      return this.#send({ status: 204, headers: preflightHeaders(cors, (name) => this.#headers.get(name)) })
    }
    const operation = operationOf(method, target, this.#headers)
    this.#operation = operation
    const { claim, identity, signature } = this.#authenticate(method, target)
    const scopeKey =
      operation.startsWith('List') && target.key === '' ? (target.query.get('prefix') ?? '') : target.key
    authorize(identity, operation, target.bucket, scopeKey)
    refuseMissingHeaders(operation, this.#headers)
    await this.#suffer(operation, target)
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
      if (this.#harm?.cut === 'after') throw this.#cut()
      if (this.#harm?.status !== undefined) throw new S3Error(STATUS_CODES[this.#harm.status])
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

  #authenticate(
    method: string,
    target: R2Target,
  ): { claim: SignatureClaim; identity: R2Identity; signature: VerifiedSignature } {
    const { identities, accountId } = this.#service
    const headers = this.#headers
    const now = this.#service.now()
    const claim = readClaim(target, headers)
    const parent = identities.get(claim.accessKeyId)
    if (parent === undefined) throw new S3Error('Unauthorized')
    const identity =
      claim.sessionToken === undefined
        ? parent
        : temporaryIdentity(parent, claim.accessKeyId, claim.sessionToken, {
            accountId,
            host: headers.get('host') ?? '',
            now,
          })
    const signature = verifySignature(method, target, headers, claim, identity.secret, now)
    if (claim.form === 'query')
      for (const [name, value] of target.query) {
        const lower = name.toLowerCase()
        if (lower.startsWith('x-amz-') && !SIGNATURE_PARAMETERS.has(lower)) headers.adopt(lower, value)
      }
    return { claim, identity, signature }
  }

  /** Lets the faults that come before the operation happen. */
  async #suffer(operation: R2Operation, target: R2Target): Promise<void> {
    const partNumber = Number(target.query.get('partNumber'))
    const harm = this.#service.faults.strike(operation, target.key, partNumber || undefined)
    if (harm === undefined) return
    if (harm.latency > 0) await sleep(harm.latency)
    if (harm.cut === 'before') throw this.#cut()
    if (harm.status !== undefined && harm.statusWhen === 'before')
      throw new S3Error(STATUS_CODES[harm.status])
    this.#harm = harm
  }

  async *#incoming(): AsyncGenerator<Buffer, void, undefined> {
    // Leaving the loop early must not destroy the socket: a refusal still has to be sent through it.
    for await (const chunk of this.#message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      this.#received += chunk.length
      await this.#impede(chunk.length, this.#received)
      yield chunk
    }
    if (!this.#message.complete) throw new S3Error('IncompleteBody')
  }

  async *#outgoing(
    content: AsyncGenerator<Buffer, void, undefined>,
  ): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of content) {
      const { cut } = this.#harm ?? {}
      const left = typeof cut === 'number' ? cut - this.#sent : Number.POSITIVE_INFINITY
      // Everything before the cut is flushed, so that a client sees exactly that much.
      if (left <= chunk.length) {
        if (left > 0) await new Promise((resolve) => this.#response.write(chunk.subarray(0, left), resolve))
        this.#sent += left
        throw this.#cut()
      }
      await this.#impede(chunk.length, 0)
      this.#sent += chunk.length
      yield chunk
    }
  }

  async #impede(bytes: number, received: number): Promise<void> {
    const { bytesPerSecond, cut } = this.#harm ?? {}
    if (bytesPerSecond !== undefined) await sleep((bytes / bytesPerSecond) * 1000)
    if (typeof cut === 'number' && received > cut) throw this.#cut()
  }

  #cut(): Cut {
    this.#message.socket.resetAndDestroy()
    return new Cut()
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
    if (reply.content !== undefined) await pipeline(this.#outgoing(reply.content), response)
    else await new Promise<void>((resolve) => response.end(xml, () => resolve()))
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
