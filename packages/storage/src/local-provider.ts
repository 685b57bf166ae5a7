import { abortable, type Bytes } from './abortable.ts'
import { StorageError } from './errors.ts'
import { KeyLocks } from './key-locks.ts'
import type { LocalCapabilities } from './local-buckets.ts'
import { LocalMultipart } from './local-multipart.ts'
import type { Expected, LocalObject, LocalStore } from './local-store.ts'
import type { Presigner } from './presign.ts'
import type {
  Conditions,
  ListPage,
  ObjectHead,
  ObjectHeaders,
  OpenUpload,
  Provider,
  StoredPart,
} from './provider.ts'

interface LocalSettings {
  readonly name: 'disk' | 'memory'
  readonly store: LocalStore
  readonly presigner: Presigner | undefined
  readonly publicBaseUrl: string | undefined
  readonly maxObjectBytes: number
}

/**
 * The rules of an S3 server over a store of this machine, so that code and tests meet the same conditions,
 * multipart uploads and ETags as in production.
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
  readonly #multipart: LocalMultipart

  constructor({ name, store, presigner, publicBaseUrl, maxObjectBytes }: LocalSettings) {
    this.name = name
    this.publicBaseUrl = publicBaseUrl
    this.#store = store
    this.#multipart = new LocalMultipart(store)
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

  startMultipart(key: string, headers: ObjectHeaders): Promise<string> {
    return this.#multipart.start(key, headers)
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
  writePart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Bytes,
    expected: Expected,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    return this.#multipart.write(key, uploadId, partNumber, body, expected, signal)
  }

  listParts(key: string, uploadId: string): Promise<readonly StoredPart[]> {
    return this.#multipart.parts(key, uploadId)
  }

  completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    conditions: Conditions,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    return this.#multipart.complete(key, uploadId, parts, (body, headers, etag) =>
      this.write(key, body, headers, conditions, {}, signal, etag),
    )
  }

  abortMultipart(_key: string, uploadId: string): Promise<void> {
    return this.#multipart.abort(uploadId)
  }

  openUploads(prefix: string): AsyncGenerator<OpenUpload> {
    return this.#multipart.open(prefix)
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
}

function unquoted(etag: string): string {
  return etag.replace(/^"|"$/g, '')
}

function taken(): StorageError {
  return new StorageError('STORAGE_ERR_PRECONDITION', 'there is an object of this key already')
}
