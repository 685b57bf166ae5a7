import { randomBytes } from 'node:crypto'
import type { Events } from '@cays/core/events'
import type { Lifecycle } from '@cays/core/lifecycle'
import { OptionReader } from '@cays/core/options'
import { completeUpload } from './complete-upload.ts'
import type { StorageEvents } from './create-storage.ts'
import type { UploadDefinition } from './define-upload.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import { areOf, digestOfParts, MD5, readPartDigests, SHA256 } from './part-digests.ts'
import { MULTIPART_ABOVE, partSizeFor } from './part-plan.ts'
import type { Provider } from './provider.ts'
import { headOrNothing, quarantineKey } from './quarantine.ts'
import { traced } from './telemetry.ts'
import { type TicketClaims, TicketSigner } from './ticket.ts'
import { ticketOf } from './ticket-urls.ts'
import {
  type CompleteRequest,
  type CompleteResult,
  type IssueRequest,
  type IssueResult,
  type Refusal,
  type ResumeRequest,
  refused,
} from './upload-types.ts'

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
  readonly #events: Events<StorageEvents>

  /** @internal */
  constructor(
    instance: string,
    providers: ReadonlyMap<string, Provider>,
    secret: string | undefined,
    lifecycle: Lifecycle,
    events: Events<StorageEvents>,
  ) {
    this.#events = events
    this.#instance = instance
    this.#providers = providers
    this.#signer = secret === undefined ? undefined : new TicketSigner(secret)
    this.#lifecycle = lifecycle
  }

  /** A ticket for one file of this size and type, or why there is none. */
  issue(definition: UploadDefinition, request: IssueRequest): Promise<IssueResult> {
    const read = reader('uploads.issue')
    read.known(request, [
      'subject',
      'name',
      'size',
      'type',
      'sha256',
      'md5',
      'partSha256',
      'partMd5',
      'signal',
    ])
    const subject = read.string(
      'subject',
      read.required('subject', request.subject),
      '',
      /^[\x21-\x7e]{1,200}$/,
    )
    const name = read.string('name', read.required('name', request.name), '').slice(0, 200)
    const sha256 =
      request.sha256 === undefined ? undefined : read.string('sha256', request.sha256, '', SHA256)
    const md5 = request.md5 === undefined ? undefined : read.string('md5', request.md5, '', MD5)
    const digests = readPartDigests(read, request)
    const provider = this.#provider(definition)
    const signer = this.#signing()
    const { size, type, signal } = request
    return this.#run<IssueResult>('issue', definition, async () => {
      if (!definition.accept.includes(type)) return refused('type', 'This type of file is not accepted.')
      if (!Number.isSafeInteger(size) || size < 1) return refused('size', 'The file is empty.')
      if (size > definition.maxBytes) return refused('size', 'The file is too large.')
      const id = randomBytes(18).toString('base64url')
      const expires = Math.ceil(definition.expiresIn / 1_000)
      const expiresAt = Date.now() + expires * 1_000
      const completeBy = expiresAt + definition.completeWithin
      const base = { id, purpose: definition.name, subject, type, size, name, expiresAt, completeBy }
      if (size <= MULTIPART_ABOVE) {
        const claims = { ...base, sha256, md5, multipart: undefined }
        return { ok: true, ticket: ticketOf(provider, claims, signer.sign(claims), expires, {}) }
      }
      const partSize = partSizeFor(size)
      const { partSha256, partMd5 } = digests
      const count = Math.ceil(size / partSize)
      if ([partSha256, partMd5].some((list) => list !== undefined && list.length !== count)) {
        return refused('checksum', 'There must be one checksum for each part.')
      }
      const hashed = partSha256 !== undefined
      const uploadId = await provider.startMultipart(
        quarantineKey(base),
        { contentType: type },
        signal,
        hashed,
      )
      const claims = {
        ...base,
        sha256: partSha256 ? digestOfParts(partSha256) : sha256,
        md5: partMd5 && digestOfParts(partMd5),
        multipart: { uploadId, partSize, hashed },
      }
      return { ok: true, ticket: ticketOf(provider, claims, signer.sign(claims), expires, digests) }
    })
  }

  /**
   * New URLs for an upload that was interrupted, and which parts have arrived: after a reload, a pause longer
   * than `expiresIn`, on any node. Possible until the upload can be completed no more.
   */
  resume(definition: UploadDefinition, request: ResumeRequest): Promise<IssueResult> {
    const read = reader('uploads.resume')
    read.known(request, ['token', 'subject', 'partSha256', 'partMd5', 'signal'])
    const digests = readPartDigests(read, request)
    const { token, signal } = request
    const provider = this.#provider(definition)
    const claims = this.#signing().open(token)
    return this.#run<IssueResult>('resume', definition, async () => {
      const refusal = refusalOf(claims, definition, request.subject)
      if (refusal || !claims) return refusal ?? NOT_OURS
      const { multipart } = claims
      if (multipart && !areOf(digests, claims)) {
        return refused('checksum', 'This is not the file that the upload began with.')
      }
      const left = Math.floor((claims.completeBy - Date.now()) / 1_000)
      const expires = Math.max(1, Math.min(Math.ceil(definition.expiresIn / 1_000), left))
      const sent = multipart ? await sentParts(provider, claims, multipart, signal) : undefined
      return { ok: true, ticket: ticketOf(provider, claims, token, expires, digests, sent) }
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
    return this.#run<CompleteResult>('complete', definition, async () => {
      const refusal = refusalOf(claims, definition, request.subject)
      if (refusal || !claims) return refusal ?? NOT_OURS
      return await completeUpload(provider, definition, claims, request)
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
    operation: 'issue' | 'resume' | 'complete',
    { bucket, name: upload }: UploadDefinition,
    work: () => Promise<T>,
  ): Promise<T> {
    const attributes = { 'cays.bucket': bucket, 'cays.upload': upload }
    const outcomeOf = (result: T) => (result.ok ? 'ok' : result.reason)
    return this.#lifecycle.run(async () => {
      const result: IssueResult | CompleteResult = await traced(
        operation,
        this.#instance,
        attributes,
        work,
        outcomeOf,
      )
      if (!result.ok) this.#events.emit('refused', { upload, bucket, reason: result.reason })
      else if ('object' in result && !result.replayed) {
        this.#events.emit('completed', { upload, bucket, object: result.object })
      }
      return result as T
    })
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
    if (provider.capabilities.publicUrls) {
      throw new StorageUsageError(
        'STORAGE_ERR_UNSUPPORTED',
        'uploads need a private bucket: in a public one everybody could read what is not proven yet',
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

const NOT_OURS = refused('ticket', 'This is not a ticket for this upload.')

function refusalOf(
  claims: TicketClaims | undefined,
  { name }: UploadDefinition,
  subject: string,
): Refusal | undefined {
  if (!claims || claims.purpose !== name || claims.subject !== subject) return NOT_OURS
  if (Date.now() > claims.completeBy) return refused('expired', 'The upload took too long; start again.')
  return undefined
}

/** The parts that are there in full; all of them once they were put together. */
async function sentParts(
  provider: Provider,
  claims: TicketClaims,
  { uploadId, partSize }: NonNullable<TicketClaims['multipart']>,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<number>> {
  const key = quarantineKey(claims)
  const count = Math.ceil(claims.size / partSize)
  const all = () => new Set(Array.from({ length: count }, (_, index) => index + 1))
  try {
    const parts = await provider.listParts(key, uploadId, signal)
    const sizeOf = (number: number) => Math.min(partSize, claims.size - (number - 1) * partSize)
    return new Set(
      parts.filter(({ partNumber, size }) => size === sizeOf(partNumber)).map(({ partNumber }) => partNumber),
    )
  } catch (error) {
    const gone = error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND'
    if (gone && (await headOrNothing(provider, key, signal))) return all()
    throw error
  }
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
