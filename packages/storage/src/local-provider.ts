import { createHash, randomUUID } from 'node:crypto'
import { StorageError } from './errors.ts'
import { KeyLocks } from './key-locks.ts'
import type { LocalCapabilities } from './local-buckets.ts'
import type { Expected, LocalObject, LocalStore } from './local-store.ts'
import type { Presigner } from './presign.ts'
import type { Conditions, ListPage, ObjectHead, ObjectHeaders, Provider } from './provider.ts'

type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

interface LocalSettings {
  readonly name: 'disk' | 'memory'
  readonly store: LocalStore
  readonly presigner: Presigner | undefined
  readonly publicBaseUrl: string | undefined
  readonly maxObjectBytes: number
}

// User keys have no control characters, so these are nobody else's.
const UPLOADS = '\u0001uploads/'
const PARTS = '\u0001parts/'
const PARTIAL = 'partial:'
const MIN_PART_BYTES = 5 * 2 ** 20

/**
 * The rules of an S3 server over a store of this machine, so that code and tests meet the same conditions,
 * multipart uploads and ETags as in production. Multipart uploads and their parts are objects of the store.
 *
 * `ifNoneMatch` is decided by the store among all processes, `ifMatch` among the writers of this one.
 */
export class LocalProvider implements Provider {
  readonly name: string
  readonly capabilities: LocalCapabilities
  readonly publicBaseUrl: string | undefined
  readonly #store: LocalStore
  readonly #presigner: Presigner | undefined
  readonly #locks = new KeyLocks()

  constructor({ name, store, presigner, publicBaseUrl, maxObjectBytes }: LocalSettings) {
    this.name = name
    this.publicBaseUrl = publicBaseUrl
    this.#store = store
    this.#presigner = presigner
    this.capabilities = {
      signedUrls: presigner !== undefined,
      publicUrls: publicBaseUrl !== undefined,
      conditionalPut: true,
      conditionalMultipart: true,
      conditionalCopy: true,
      verifiesSha256: true,
      grants: false,
      maxObjectBytes,
      maxCopyBytes: maxObjectBytes,
    }
  }

  put(
    key: string,
    body: Uint8Array,
    headers: ObjectHeaders,
    conditions: Conditions,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    return this.write(key, [body], headers, conditions, {}, signal)
  }

  /** `put` of a stream, as its bytes arrive. */
  async write(
    key: string,
    body: Bytes,
    headers: ObjectHeaders,
    { ifMatch, ifNoneMatch }: Conditions,
    expected: Expected,
    signal?: AbortSignal,
    etag?: string,
  ): Promise<{ readonly etag: string }> {
    signal?.throwIfAborted()
    const write = async () => {
      if (ifMatch !== undefined && (await this.#store.read(key))?.head.etag !== unquoted(ifMatch)) {
        throw new StorageError('STORAGE_ERR_PRECONDITION', 'the object is not the one that was asked for')
      }
      const exclusive = ifNoneMatch === '*'
      // A stream that is refused anyway need not be read.
      if (exclusive && (await this.#store.read(key))) throw taken()
      return await this.#store.write(key, abortable(body, signal), { headers, exclusive, expected, etag })
    }
    return ifMatch === undefined ? await write() : await this.#locks.run(key, write)
  }

  async startMultipart(key: string, headers: ObjectHeaders): Promise<string> {
    const id = randomUUID()
    const record = Buffer.from(JSON.stringify({ key, headers }))
    await this.#store.write(UPLOADS + id, [record], { headers: PLAIN, exclusive: true })
    return id
  }

  putPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    return this.writePart(key, uploadId, partNumber, [body], {}, signal)
  }

  /** `putPart` of a stream, as its bytes arrive. */
  async writePart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Bytes,
    expected: Expected,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    await this.#upload(key, uploadId)
    return await this.#store.write(partKey(uploadId, partNumber), abortable(body, signal), {
      headers: PLAIN,
      exclusive: false,
      expected,
    })
  }

  async listParts(key: string, uploadId: string) {
    await this.#upload(key, uploadId)
    const parts = []
    for await (const { key: name, size, etag } of this.#store.list(`${PARTS}${uploadId}/`)) {
      parts.push({ partNumber: Number(name.split('/')[2]), size, etag })
    }
    return parts.sort((a, b) => a.partNumber - b.partNumber)
  }

  completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    conditions: Conditions,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    return this.#locks.run(UPLOADS + uploadId, async () => {
      const { headers } = await this.#upload(key, uploadId)
      const found: LocalObject[] = []
      for (const { partNumber, etag } of parts) {
        const part = await this.#store.read(partKey(uploadId, partNumber))
        if (!part || part.head.etag !== etag) {
          throw new StorageError('STORAGE_ERR_CHECKSUM', 'a part of the upload is not the one that was sent')
        }
        found.push(part)
      }
      const sizes = found.map(({ head }) => head.size)
      const inner = sizes.slice(0, -1)
      if (
        inner.some((size) => size < MIN_PART_BYTES || size !== sizes[0]) ||
        (sizes.at(-1) ?? 0) > (sizes[0] ?? 0)
      ) {
        throw new StorageError(
          'STORAGE_ERR_SIZE',
          'parts must have one size of at least 5 MiB, but for the last',
        )
      }
      const digest = createHash('md5')
      for (const { head } of found) digest.update(head.etag, 'hex')
      const etag = `${digest.digest('hex')}-${found.length}`
      await this.write(key, joined(found), headers, conditions, {}, signal, etag)
      await this.abortMultipart(key, uploadId)
      return { etag }
    })
  }

  async abortMultipart(_key: string, uploadId: string): Promise<void> {
    if (uploadId.startsWith(PARTIAL)) return await this.#store.discard(uploadId.slice(PARTIAL.length))
    await this.#store.remove(UPLOADS + uploadId)
    for await (const { key } of this.#store.list(`${PARTS}${uploadId}/`)) await this.#store.remove(key)
  }

  async *openUploads(prefix: string) {
    const open = new Map<string, Date>()
    for await (const { key, lastModified } of this.#store.list(UPLOADS)) {
      open.set(key.slice(UPLOADS.length), lastModified)
    }
    // A part may have arrived after its upload was ended.
    for await (const { key, lastModified } of this.#store.list(PARTS)) {
      const id = key.split('/')[1] ?? ''
      if (!open.has(id)) open.set(id, lastModified)
    }
    for (const [uploadId, startedAt] of open) {
      const record = await this.#record(uploadId)
      const key = record?.key ?? ''
      if (key.startsWith(prefix)) yield { key, uploadId, startedAt }
    }
    for await (const { id, startedAt } of this.#store.unfinished()) {
      if (prefix === '') yield { key: '', uploadId: PARTIAL + id, startedAt }
    }
  }

  async get(
    key: string,
    { range, ifMatch }: Parameters<Provider['get']>[1],
    signal?: AbortSignal,
  ): Promise<{ readonly head: ObjectHead; readonly body: AsyncIterable<Uint8Array> }> {
    signal?.throwIfAborted()
    const { head, body } = await this.#object(key)
    if (ifMatch !== undefined && head.etag !== unquoted(ifMatch)) {
      throw new StorageError('STORAGE_ERR_PRECONDITION', 'the object is not the one that was asked for')
    }
    const start = range?.start ?? 0
    const end = Math.min(range?.end ?? head.size - 1, head.size - 1)
    if (range && start >= head.size) {
      throw new StorageError('STORAGE_ERR_RANGE', 'the range lies outside the object')
    }
    return { head, body: abortable(body(start, end), signal) }
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead> {
    signal?.throwIfAborted()
    return (await this.#object(key)).head
  }

  async list(
    { prefix, limit, after }: Parameters<Provider['list']>[0],
    signal?: AbortSignal,
  ): Promise<ListPage> {
    const objects = []
    for await (const { key, size, etag, lastModified } of this.#store.list(prefix)) {
      signal?.throwIfAborted()
      if (!key.startsWith('\u0001')) objects.push({ key, size, etag, lastModified, bytes: Buffer.from(key) })
    }
    objects.sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    const from =
      after === undefined ? 0 : objects.findIndex(({ bytes }) => bytes.compare(Buffer.from(after)) > 0)
    const page = from < 0 ? [] : objects.slice(from, from + limit)
    return {
      objects: page.map(({ bytes: _, ...object }) => object),
      next: from >= 0 && from + limit < objects.length ? page.at(-1)?.key : undefined,
    }
  }

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, Error>> {
    const failures = new Map<string, Error>()
    for (const key of keys) {
      signal?.throwIfAborted()
      await this.#store.remove(key).catch((error: Error) => failures.set(key, error))
    }
    return failures
  }

  async copy(
    from: string,
    to: string,
    headers: ObjectHeaders | undefined,
    { ifMatch }: { readonly ifMatch?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    const { head, body } = await this.get(from, { ifMatch }, signal)
    return await this.write(to, body, headers ?? head, {}, { size: head.size }, signal)
  }

  sign(request: Parameters<Provider['sign']>[0]): string {
    if (!this.#presigner) throw new StorageError('STORAGE_ERR_UNSUPPORTED', 'the provider has no URLs')
    return this.#presigner.sign(request, Date.now())
  }

  async close(): Promise<void> {}

  async #object(key: string): Promise<LocalObject> {
    const object = await this.#store.read(key)
    if (!object) throw new StorageError('STORAGE_ERR_NOT_FOUND', 'there is no such object')
    return object
  }

  async #record(id: string): Promise<{ readonly key: string; readonly headers: ObjectHeaders } | undefined> {
    const object = await this.#store.read(UPLOADS + id)
    if (!object) return undefined
    const chunks: Uint8Array[] = []
    for await (const chunk of object.body(0, object.head.size - 1)) chunks.push(chunk)
    return JSON.parse(Buffer.concat(chunks).toString())
  }

  async #upload(key: string, id: string) {
    const record = await this.#record(id)
    if (record?.key !== key) throw new StorageError('STORAGE_ERR_NOT_FOUND', 'there is no such upload')
    return record
  }
}

const PLAIN: ObjectHeaders = { contentType: 'application/octet-stream' }

function partKey(uploadId: string, partNumber: number): string {
  return `${PARTS}${uploadId}/${String(partNumber).padStart(5, '0')}`
}

function unquoted(etag: string): string {
  return etag.replace(/^"|"$/g, '')
}

function taken(): StorageError {
  return new StorageError('STORAGE_ERR_PRECONDITION', 'there is an object of this key already')
}

async function* joined(parts: readonly LocalObject[]): AsyncGenerator<Uint8Array> {
  for (const { head, body } of parts) yield* body(0, head.size - 1)
}

async function* abortable(body: Bytes, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    signal?.throwIfAborted()
    yield chunk
  }
}
