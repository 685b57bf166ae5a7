import type { Lifecycle } from '@cays/core/lifecycle'
import { OptionReader } from '@cays/core/options'
import type {
  Call,
  CopyOptions,
  DeleteOutcome,
  Downloaded,
  DownloadOptions,
  DownloadToOptions,
  GetOptions,
  GrantOptions,
  ListOptions,
  PutOptions,
  SignedPut,
  SignGetOptions,
  SignPutOptions,
  StoredObject,
} from './bucket-types.ts'
import type { ByteBudget } from './byte-budget.ts'
import { attachment } from './content-disposition.ts'
import { copyObject } from './copy-object.ts'
import { downloadToFile, parallelBody } from './download.ts'
import { StorageError, StorageUsageError } from './errors.ts'
import type { TemporaryCredentials } from './grant.ts'
import { checkKey, checkOwnKey, checkPrefix } from './key.ts'
import { MiB } from './part-plan.ts'
import { encodePath } from './presign.ts'
import type { ByteRange, Capabilities, Needs, ObjectHead, ObjectInfo, Provider } from './provider.ts'
import { type PutResult, put } from './put.ts'
import { resumedBody } from './resumed-body.ts'
import type { Source } from './source.ts'
import { type StorageOperation, traced } from './telemetry.ts'

const MAX_EXPIRY = 7 * 86_400_000
const METADATA_BYTES = 2_048
const HEADER_VALUE = /^[\x20-\x7e]{1,1024}$/

/**
 * The objects of one bucket. What its provider lacks is refused by the compiler where the bucket comes straight from
 * `createStorage`, and by the call, before any I/O, everywhere else.
 */
export class Bucket<Can extends Capabilities = Capabilities> {
  readonly name: string
  readonly capabilities: Can
  /** @internal The storage's name in telemetry. */
  readonly instance: string
  readonly #provider: Provider
  readonly #budget: ByteBudget
  readonly #lifecycle: Lifecycle

  /** @internal */
  constructor(instance: string, name: string, provider: Provider, budget: ByteBudget, lifecycle: Lifecycle) {
    this.instance = instance
    this.name = name
    this.capabilities = provider.capabilities as Can
    this.#provider = provider
    this.#budget = budget
    this.#lifecycle = lifecycle
  }

  /**
   * Writes an object. It appears whole or not at all, and resolves only when the provider has confirmed it.
   * Memory comes out of the storage's budget: a `put` waits for its turn before it reads from the source.
   */
  put(key: string, source: Source, options: PutOptions<Can> = {}): Promise<PutResult> {
    const read = reader('put')
    read.known(options, [
      'size',
      'contentType',
      'download',
      'cacheControl',
      'metadata',
      'ifNoneMatch',
      'ifMatch',
      'concurrency',
      'sourceTimeout',
      'signal',
    ])
    this.#conditional(options.ifMatch ?? options.ifNoneMatch)
    const plan = {
      key: checkOwnKey(key),
      source,
      size:
        options.size === undefined
          ? undefined
          : read.integer('size', options.size, 0, { max: Number.MAX_SAFE_INTEGER }),
      headers: {
        contentType: read.string(
          'contentType',
          options.contentType,
          'application/octet-stream',
          HEADER_VALUE,
        ),
        contentDisposition: options.download === undefined ? undefined : attachment(options.download),
        cacheControl:
          options.cacheControl === undefined
            ? undefined
            : read.string('cacheControl', options.cacheControl, '', HEADER_VALUE),
        metadata: readMetadata(read, options.metadata),
      },
      conditions: { ifMatch: options.ifMatch, ifNoneMatch: options.ifNoneMatch },
      concurrency: read.integer('concurrency', options.concurrency, 4, { min: 1, max: 64 }),
      patience: read.duration('sourceTimeout', options.sourceTimeout, 30_000, { min: 1 }),
      signal: options.signal,
    }
    return this.#run('put', () => put(this.#provider, this.#budget, plan))
  }

  /** The object; throws `STORAGE_ERR_NOT_FOUND` when there is none. */
  get(key: string, options: GetOptions = {}): Promise<StoredObject> {
    const read = reader('get')
    read.known(options, ['range', 'ifMatch', 'signal'])
    const { range, ifMatch, signal } = options
    const bytes = range && {
      start: read.integer('range.start', range.start, 0),
      end:
        range.end === undefined ? undefined : read.integer('range.end', range.end, 0, { min: range.start }),
    }
    checkKey(key)
    return this.#run('get', async () => {
      const { head, body } = await this.#provider.get(key, { range: bytes, ifMatch }, signal)
      return this.#stored(head, resumedBody(this.#provider, head, body, bytes, signal), bytes)
    })
  }

  /**
   * A large object over several connections: to a file, which appears whole or not at all and goes on where an
   * earlier try was interrupted (one download per file at a time), or as a body in order. Every range asks for
   * the very same object: when it is replaced meanwhile it throws `STORAGE_ERR_PRECONDITION`, bytes are never
   * mixed. A range whose connection breaks goes on by itself.
   */
  download(key: string, options: DownloadToOptions): Promise<Downloaded>
  download(key: string, options?: DownloadOptions): Promise<StoredObject>
  download(
    key: string,
    options: DownloadOptions & { readonly to?: string | undefined } = {},
  ): Promise<Downloaded | StoredObject> {
    const read = reader('download')
    read.known(options, ['to', 'connections', 'partSize', 'ifMatch', 'signal'])
    const { to, ifMatch, signal } = options
    const settings = {
      provider: this.#provider,
      connections: read.integer('connections', options.connections, 8, { min: 1, max: 64 }),
      partSize: read.integer('partSize', options.partSize, 4 * MiB, { min: 65_536, max: 2 ** 30 }),
      signal,
    }
    if (to !== undefined) read.string('to', to, '', /^[^\0]+$/)
    checkKey(key)
    return this.#run('download', async () => {
      const head = await this.#provider.head(key, signal)
      if (ifMatch !== undefined && ifMatch !== head.etag) {
        throw new StorageError('STORAGE_ERR_PRECONDITION', 'the object is not the one that was asked for')
      }
      const plan = { ...settings, head }
      if (to !== undefined) return { ...head, resumed: await downloadToFile(plan, to) }
      return this.#stored(head, parallelBody(plan, this.#budget), undefined)
    })
  }

  /** The object without its bytes; throws `STORAGE_ERR_NOT_FOUND` when there is none. */
  head(key: string, options: Call = {}): Promise<ObjectHead> {
    checkKey(key)
    return this.#run('head', () => this.#provider.head(key, options.signal))
  }

  /** Whether there is such an object now. Throws when the provider cannot be asked. */
  async exists(key: string, options: Call = {}): Promise<boolean> {
    try {
      await this.head(key, options)
      return true
    } catch (error) {
      if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return false
      throw error
    }
  }

  /** All objects under the prefix, in the provider's order, page by page as they are asked for. */
  async *list(options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const read = reader('list')
    read.known(options, ['prefix', 'pageSize', 'signal'])
    const limit = read.integer('pageSize', options.pageSize, 1_000, { min: 1, max: 1_000 })
    const prefix = checkPrefix(options.prefix ?? '')
    let after: string | undefined
    do {
      const page = await this.#run('list', () =>
        this.#provider.list({ prefix, limit, after }, options.signal),
      )
      yield* page.objects
      after = page.next
    } while (after !== undefined)
  }

  /** Deletes one object; it is no error when there is none. */
  async delete(key: string, options: Call = {}): Promise<void> {
    const [outcome] = await this.deleteMany([key], options)
    if (outcome?.error) throw outcome.error
  }

  /** Deletes any number of objects, a thousand per request, and says how each fared, in the given order. */
  deleteMany(keys: Iterable<string>, options: Call = {}): Promise<readonly DeleteOutcome[]> {
    const all = Array.from(keys, checkKey)
    return this.#run('delete', async () => {
      const failures = new Map<string, Error>()
      for (let at = 0; at < all.length; at += 1_000) {
        const batch = all.slice(at, at + 1_000)
        try {
          for (const [key, error] of await this.#provider.deleteMany(batch, options.signal))
            failures.set(key, error)
        } catch (error) {
          if (options.signal?.aborted) throw error
          for (const key of batch) failures.set(key, error as Error)
        }
      }
      return all.map((key) => {
        const error = failures.get(key)
        return error ? { key, error } : { key }
      })
    })
  }

  /** Copies inside the bucket without the bytes passing through this process; above 5 GiB in parts. */
  copy(from: string, to: string, options: CopyOptions<Can> = {}): Promise<{ readonly etag: string }> {
    reader('copy').known(options, ['ifMatch', 'signal'])
    if (options.ifMatch !== undefined && !this.capabilities.conditionalCopy) {
      throw new StorageUsageError(
        'STORAGE_ERR_UNSUPPORTED',
        'copy: this provider does not decide ifMatch of a copy',
      )
    }
    checkKey(from)
    checkOwnKey(to)
    return this.#run('copy', () =>
      copyObject(this.#provider, from, to, undefined, { ifMatch: options.ifMatch }, options.signal),
    )
  }

  /** A URL that reads the object until it expires; synchronous, without asking the provider. */
  signedUrl(key: Needs<Can, 'signedUrls', string>, options?: SignGetOptions): string
  /** A URL that writes exactly what was signed, and the headers that must go with it. */
  signedUrl(key: Needs<Can, 'signedUrls', string>, options: SignPutOptions): SignedPut
  signedUrl(key: string, options: SignGetOptions | SignPutOptions = {}): string | SignedPut {
    if (!this.capabilities.signedUrls) {
      throw new StorageUsageError('STORAGE_ERR_UNSUPPORTED', 'signedUrl: this provider has no URLs')
    }
    checkKey(key)
    const read = reader('signedUrl')
    const expires = Math.ceil(
      read.duration('expiresIn', options.expiresIn, 300_000, { min: 1_000, max: MAX_EXPIRY }) / 1_000,
    )
    if (options.method === 'PUT') {
      read.known(options, ['method', 'expiresIn', 'size', 'contentType', 'writeOnce'])
      this.#conditional(options.writeOnce ? '*' : undefined)
      const headers = {
        'content-type': read.string(
          'contentType',
          read.required('contentType', options.contentType),
          '',
          HEADER_VALUE,
        ),
        ...(options.writeOnce ? { 'if-none-match': '*' } : {}),
      }
      const size = read.integer('size', read.required('size', options.size), 0)
      const url = this.#provider.sign({
        method: 'PUT',
        key,
        expires,
        headers: { ...headers, 'content-length': String(size) },
      })
      return { url, headers }
    }
    read.known(options, ['method', 'expiresIn', 'download', 'contentType'])
    const { download, contentType } = options
    const query: Record<string, string> = {}
    if (download !== undefined) query['response-content-disposition'] = attachment(download)
    if (contentType !== undefined) {
      query['response-content-type'] = read.string('contentType', contentType, '', HEADER_VALUE)
    }
    return this.#provider.sign({ method: 'GET', key, expires, query })
  }

  /**
   * The URL under which everybody can read the object, of a bucket with `publicBaseUrl`: for pages and mails. It does
   * not end, and whoever has it keeps what a cache holds. Synchronous, without asking whether there is such an object.
   */
  publicUrl(key: Needs<Can, 'publicUrls', string>): string {
    const { publicBaseUrl } = this.#provider
    if (publicBaseUrl === undefined) {
      throw new StorageUsageError('STORAGE_ERR_UNSUPPORTED', 'publicUrl: the bucket has no publicBaseUrl')
    }
    return `${publicBaseUrl}/${encodePath(checkOwnKey(key))}`
  }

  /**
   * Temporary credentials of R2 for what lies under one prefix, for a worker, a job or a partner with an S3 client of
   * their own. Made on this machine: no request, and no way to take them back before they end. Synchronous.
   */
  grant(options: Needs<Can, 'grants', GrantOptions>): TemporaryCredentials {
    const read = reader('grant')
    read.known(options, ['prefix', 'permission', 'expiresIn'])
    const prefix = checkPrefix(read.string('prefix', read.required('prefix', options.prefix), '', /./))
    const permission = read.oneOf('permission', options.permission, 'object-read-only', [
      'object-read-only',
      'object-read-write',
    ])
    const limits = { min: 1_000, max: MAX_EXPIRY }
    const expiresIn = read.duration('expiresIn', options.expiresIn, 900_000, limits)
    if (!this.capabilities.grants || !this.#provider.grant) {
      throw new StorageUsageError('STORAGE_ERR_UNSUPPORTED', 'grant: only R2 has such credentials')
    }
    return this.#provider.grant({ prefix, permission, expiresIn })
  }

  #run<T>(operation: StorageOperation, work: () => Promise<T>): Promise<T> {
    return this.#lifecycle.run(() => traced(operation, this.instance, { 'cays.bucket': this.name }, work))
  }

  #stored(head: ObjectHead, source: AsyncGenerator<Uint8Array>, range: ByteRange | undefined): StoredObject {
    const body = this.#counted(source)
    const bytes = async () => {
      const size = range ? Math.min(range.end ?? head.size - 1, head.size - 1) - range.start + 1 : head.size
      if (size > this.#budget.total) {
        await source.return(undefined)
        throw new StorageError(
          'STORAGE_ERR_SIZE',
          'bytes: larger than memoryBudget; read the body as a stream',
        )
      }
      const chunks: Uint8Array[] = []
      for await (const chunk of body) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    return { ...head, body, bytes, text: async () => (await bytes()).toString() }
  }

  /** `close` waits for a body that is being read. */
  async *#counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const leave = this.#lifecycle.enter()
    try {
      yield* source
    } finally {
      leave()
    }
  }

  #conditional(condition: string | undefined): void {
    if (condition === undefined || this.capabilities.conditionalPut) return
    throw new StorageUsageError(
      'STORAGE_ERR_UNSUPPORTED',
      'this provider does not decide conditions of a write',
    )
  }
}

function readMetadata(
  read: OptionReader,
  metadata: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (metadata === undefined) return undefined
  let bytes = 0
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]{1,64}$/.test(name))
      read.fail('metadata names have lower-case letters, digits and hyphens')
    if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value))
      read.fail('metadata values are printable ASCII')
    bytes += name.length + value.length
  }
  if (bytes > METADATA_BYTES) read.fail(`metadata must not be larger than ${METADATA_BYTES} bytes`)
  return metadata
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
