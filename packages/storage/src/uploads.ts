import { createHash, randomBytes } from 'node:crypto'
import type { Lifecycle } from '@cays/core/lifecycle'
import { OptionReader } from '@cays/core/options'
import type { Call } from './bucket.ts'
import { attachment } from './content-disposition.ts'
import { copyObject } from './copy-object.ts'
import type { UploadDefinition } from './define-upload.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import { QUARANTINE } from './key.ts'
import { proveContent } from './prove-content.ts'
import type { ObjectHead, Provider } from './provider.ts'
import { MiB, partSizeFor } from './put.ts'
import { traced } from './telemetry.ts'
import { type TicketClaims, TicketSigner } from './ticket.ts'

/** Above this a browser sends parts, so that it can pause and resume. */
const MULTIPART_ABOVE = 16 * MiB

/** What the browser says of the file it wants to send. */
export interface IssueRequest extends Call {
  /** Who may use the ticket, e.g. an account's id. */
  readonly subject: string
  /** The user's name for the file. */
  readonly name: string
  readonly size: number
  readonly type: string
  /** SHA-256 of the bytes in base64; the provider or `complete` then holds the upload against it. */
  readonly sha256?: string | undefined
}

/** What the browser needs to send one file straight to the bucket. */
export type UploadTicket = {
  /** For `complete`; bound to the subject, the purpose and this one file. */
  readonly token: string
  /** ISO 8601: until when sending may start. */
  readonly expiresAt: string
} & (
  | { readonly kind: 'put'; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly kind: 'multipart'
      readonly partSize: number
      readonly parts: readonly { readonly url: string; readonly size: number }[]
    }
)

/** Why no ticket was issued, or why an upload was refused. */
export type RefusalReason =
  /** `issue`: a type that is not accepted. `complete`: the object has another type than the ticket. */
  | 'type'
  /** Empty, above `maxBytes`, or another number of bytes than the ticket says. */
  | 'size'
  /** Not a ticket of ours, or for another subject or purpose. */
  | 'ticket'
  | 'expired'
  /** Nothing, or not everything, has arrived. */
  | 'missing'
  /** The bytes are not, or not only, of the declared type. */
  | 'content'
  /** An image with too many pixels or pictures, or none that can be read. */
  | 'image'
  /** A document or archive that unpacks to too much, has macros, or is not in order. */
  | 'archive'
  /** The bytes do not have the SHA-256 of the ticket. */
  | 'checksum'
  /** `inspect` said no; `detail` has its reason. */
  | 'inspection'

/** Why not. `detail` is a sentence for the user, in English. */
export interface Refusal {
  readonly ok: false
  readonly reason: RefusalReason
  readonly detail: string
}

/** A ticket, or why there is none. */
export type IssueResult = { readonly ok: true; readonly ticket: UploadTicket } | Refusal

/** A file that was proven and has its final key. */
export interface UploadedObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly type: string
  /** The user's name for the file. */
  readonly name: string
}

/** How an upload ended. */
export type CompleteResult =
  | {
      readonly ok: true
      readonly object: UploadedObject
      /** `verified`: the bytes have the ticket's SHA-256. `unverified`: the ticket has none, or nobody could check. */
      readonly checksum: 'verified' | 'unverified'
      /** True when this ticket was completed before: the object is the same, nothing was done. */
      readonly replayed: boolean
    }
  | Refusal

/** Which upload, by whom. */
export interface CompleteRequest extends Call {
  readonly token: string
  readonly subject: string
  /** Read the whole object again to check its SHA-256 where the provider cannot. @default false */
  readonly reread?: boolean | undefined
}

/**
 * Uploads that go from the browser straight to the bucket and are proven before anybody can see them.
 *
 * A ticket's key in quarantine can be written once (`If-None-Match: *` is signed) and is left there at least
 * until nobody can complete it any more, so that what `complete` inspected is what it promotes, on every provider, without
 * a conditional copy. The final key is derived from the ticket: two `complete` calls, on any nodes, end with
 * the same object.
 */
export class Uploads {
  readonly #providers: ReadonlyMap<string, Provider>
  readonly #signer: TicketSigner | undefined
  readonly #lifecycle: Lifecycle
  readonly #instance: string

  /** @internal */
  constructor(
    instance: string,
    providers: ReadonlyMap<string, Provider>,
    secret: string | undefined,
    lifecycle: Lifecycle,
  ) {
    this.#instance = instance
    this.#providers = providers
    this.#signer = secret === undefined ? undefined : new TicketSigner(secret)
    this.#lifecycle = lifecycle
  }

  /** A ticket for one file of this size and type, or why there is none. */
  issue(definition: UploadDefinition, request: IssueRequest): Promise<IssueResult> {
    const read = reader('uploads.issue')
    read.known(request, ['subject', 'name', 'size', 'type', 'sha256', 'signal'])
    const subject = read.string(
      'subject',
      read.required('subject', request.subject),
      '',
      /^[\x21-\x7e]{1,200}$/,
    )
    const name = read.string('name', read.required('name', request.name), '').slice(0, 200)
    const sha256 =
      request.sha256 === undefined
        ? undefined
        : read.string('sha256', request.sha256, '', /^[A-Za-z0-9+/]{43}=$/)
    const provider = this.#provider(definition)
    const signer = this.#signing()
    const { size, type } = request
    return this.#run<IssueResult>('issue', definition, async () => {
      if (!definition.accept.includes(type)) return refused('type', 'This type of file is not accepted.')
      if (!Number.isSafeInteger(size) || size < 1) return refused('size', 'The file is empty.')
      if (size > definition.maxBytes) return refused('size', 'The file is too large.')
      const id = randomBytes(18).toString('base64url')
      const expires = Math.ceil(definition.expiresIn / 1_000)
      const expiresAt = Date.now() + expires * 1_000
      const completeBy = expiresAt + definition.completeWithin
      const base = { id, purpose: definition.name, subject, type, size, name, sha256, expiresAt, completeBy }
      const key = quarantineKey(base)
      const until = new Date(expiresAt).toISOString()
      if (size <= MULTIPART_ABOVE) {
        const headers = {
          'content-type': type,
          'if-none-match': '*',
          ...(sha256 && provider.capabilities.verifiesSha256 ? { 'x-amz-checksum-sha256': sha256 } : {}),
        }
        const url = provider.sign({
          method: 'PUT',
          key,
          expires,
          headers: { ...headers, 'content-length': String(size) },
        })
        const token = signer.sign({ ...base, multipart: undefined })
        return { ok: true, ticket: { kind: 'put', token, expiresAt: until, url, headers } }
      }
      const partSize = partSizeFor(size)
      const uploadId = await provider.startMultipart(key, { contentType: type }, request.signal)
      const parts = Array.from({ length: Math.ceil(size / partSize) }, (_, index) => {
        const partBytes = Math.min(partSize, size - index * partSize)
        const url = provider.sign({
          method: 'PUT',
          key,
          expires,
          headers: { 'content-length': String(partBytes) },
          query: { partNumber: String(index + 1), uploadId },
        })
        return { url, size: partBytes }
      })
      const token = signer.sign({ ...base, multipart: { uploadId, partSize } })
      return { ok: true, ticket: { kind: 'multipart', token, expiresAt: until, partSize, parts } }
    })
  }

  /**
   * Proves what arrived and gives it its final key, or says why not. Safe to repeat, also at once on several
   * nodes. A refusal is final for this ticket, except `missing`, and `inspection` when `inspect` may change
   * its mind. Throws when the provider cannot be asked; then try again.
   */
  complete(definition: UploadDefinition, request: CompleteRequest): Promise<CompleteResult> {
    reader('uploads.complete').known(request, ['token', 'subject', 'reread', 'signal'])
    const provider = this.#provider(definition)
    const claims = this.#signing().open(request.token)
    return this.#run<CompleteResult>('complete', definition, () => {
      if (!claims || claims.purpose !== definition.name || claims.subject !== request.subject) {
        return refused('ticket', 'This is not a ticket for this upload.')
      }
      if (Date.now() > claims.completeBy) {
        return refused('expired', 'The upload took too long; start again.')
      }
      return complete(provider, definition, claims, request)
    })
  }

  /** Gives up an upload under way: parts that were sent are dropped. */
  abort(definition: UploadDefinition, request: CompleteRequest): Promise<void> {
    const provider = this.#provider(definition)
    const claims = this.#signing().open(request.token)
    if (claims?.purpose !== definition.name || claims.subject !== request.subject || !claims.multipart) {
      return Promise.resolve()
    }
    const { uploadId } = claims.multipart
    return this.#lifecycle.run(() => provider.abortMultipart(quarantineKey(claims), uploadId, request.signal))
  }

  #run<T extends IssueResult | CompleteResult>(
    operation: 'issue' | 'complete',
    { bucket, name }: UploadDefinition,
    work: () => Promise<T>,
  ): Promise<T> {
    const attributes = { 'cays.bucket': bucket, 'cays.upload': name }
    const outcomeOf = (result: T) => (result.ok ? 'ok' : result.reason)
    return this.#lifecycle.run(() => traced(operation, this.#instance, attributes, work, outcomeOf))
  }

  #provider(definition: UploadDefinition): Provider {
    const provider = this.#providers.get(definition.bucket)
    if (!provider) {
      throw new StorageUsageError(
        'STORAGE_ERR_OPTION',
        'uploads: the definition names a bucket this storage does not have',
      )
    }
    if (!provider.capabilities.signedUrls || !provider.capabilities.conditionalPut) {
      throw new StorageUsageError(
        'STORAGE_ERR_UNSUPPORTED',
        'uploads need a provider with signed URLs and conditional writes',
      )
    }
    return provider
  }

  #signing(): TicketSigner {
    if (!this.#signer) {
      throw new StorageUsageError(
        'STORAGE_ERR_OPTION',
        'uploads need the option ticketSecret, the same on every node',
      )
    }
    return this.#signer
  }
}

async function complete(
  provider: Provider,
  definition: UploadDefinition,
  claims: TicketClaims,
  { signal, reread = false }: CompleteRequest,
): Promise<CompleteResult> {
  const finalKey = `${definition.prefix}/${claims.id}`
  const byProvider = claims.sha256 !== undefined && provider.capabilities.verifiesSha256 && !claims.multipart
  const done = (
    head: Pick<ObjectHead, 'etag' | 'size'>,
    verified: boolean,
    replayed: boolean,
  ): CompleteResult => ({
    ok: true,
    object: { key: finalKey, size: head.size, etag: head.etag, type: claims.type, name: claims.name },
    checksum: verified ? 'verified' : 'unverified',
    replayed,
  })

  const earlier = await headOrNothing(provider, finalKey, signal)
  if (earlier) return done(earlier, earlier.metadata.checksum === 'verified', true)

  const key = quarantineKey(claims)
  if (claims.multipart) {
    const assembled = await assemble(provider, key, claims, claims.multipart, signal)
    if (assembled) return assembled
  }
  const head = await headOrNothing(provider, key, signal)
  if (!head) return await refused('missing', 'The file has not arrived.')
  if (head.size !== claims.size)
    return await refused('size', 'The file does not have the size it was announced with.')
  if (head.contentType !== claims.type) return await refused('type', 'The file was sent as another type.')

  const { etag } = head
  const finding = await proveContent(
    {
      type: claims.type,
      size: claims.size,
      read: async (start, end) =>
        await collect((await provider.get(key, { range: { start, end }, ifMatch: etag }, signal)).body),
      readAll: () => readAll(provider, key, etag, signal),
    },
    definition.image,
  )
  if (finding) return { ok: false, ...finding }
  let verified = byProvider
  if (claims.sha256 && !byProvider && reread) {
    if ((await sha256Of(provider, key, etag, signal)) !== claims.sha256) {
      return await refused('checksum', 'The file was damaged on its way.')
    }
    verified = true
  }
  if (definition.inspect) {
    const verdict = await definition.inspect({
      size: claims.size,
      type: claims.type,
      name: claims.name,
      read: () => readAll(provider, key, etag, signal),
      signal,
    })
    if (!verdict.ok) return { ok: false, reason: 'inspection', detail: verdict.reason }
  }
  const copied = await copyObject(
    provider,
    key,
    finalKey,
    {
      contentType: claims.type,
      contentDisposition: attachment(claims.name),
      cacheControl: 'private, no-store',
      metadata: { checksum: verified ? 'verified' : 'unverified' },
    },
    { ifMatch: etag, size: claims.size },
    signal,
  )
  return done({ etag: copied.etag, size: claims.size }, verified, false)
}

/** Puts the parts together, by the provider's own list of them: what a browser says of ETags is not needed. */
async function assemble(
  provider: Provider,
  key: string,
  claims: TicketClaims,
  multipart: NonNullable<TicketClaims['multipart']>,
  signal: AbortSignal | undefined,
): Promise<CompleteResult | undefined> {
  try {
    const parts = await provider.listParts(key, multipart.uploadId, signal)
    const total = parts.reduce((sum, part) => sum + part.size, 0)
    if (total < claims.size) return await refused('missing', 'Parts of the file have not arrived.')
    if (total > claims.size)
      return await refused('size', 'The file does not have the size it was announced with.')
    await provider.completeMultipart(key, multipart.uploadId, parts, {}, signal)
    return undefined
  } catch (error) {
    // Another call, or an earlier one whose answer was lost, has put it together: the object will tell.
    if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return undefined
    throw error
  }
}

async function headOrNothing(
  provider: Provider,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectHead | undefined> {
  try {
    return await provider.head(key, signal)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return undefined
    throw error
  }
}

async function* readAll(provider: Provider, key: string, etag: string, signal: AbortSignal | undefined) {
  yield* (await provider.get(key, { ifMatch: etag }, signal)).body
}

async function sha256Of(provider: Provider, key: string, etag: string, signal: AbortSignal | undefined) {
  const hash = createHash('sha256')
  for await (const chunk of readAll(provider, key, etag, signal)) hash.update(chunk)
  return hash.digest('base64')
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Says until when it may be completed, so that no sweep on any node takes it away before. */
function quarantineKey({ id, completeBy }: Pick<TicketClaims, 'id' | 'completeBy'>): string {
  return `${QUARANTINE}${Math.ceil(completeBy / 1_000)}-${id}`
}

/** Whether the upload with this key can be completed no more. */
export function isOver(key: string, now: number): boolean {
  const until = /^quarantine\/(\d{1,12})-/.exec(key)?.[1]
  return until === undefined || Number(until) * 1_000 < now
}

function refused(reason: RefusalReason, detail: string): Promise<Refusal> {
  return Promise.resolve({ ok: false, reason, detail })
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
