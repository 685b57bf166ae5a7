import { createHash, randomUUID } from 'node:crypto'
import { abortable, type Bytes } from './abortable.ts'
import { StorageError } from './errors.ts'
import { KeyLocks } from './key-locks.ts'
import type { Expected, LocalObject, LocalStore } from './local-store.ts'
import type { ObjectHeaders, OpenUpload, StoredPart } from './provider.ts'

// User keys have no control characters, so these are nobody else's.
const UPLOADS = '\u0001uploads/'
const PARTS = '\u0001parts/'
const PARTIAL = 'partial:'
const MIN_PART_BYTES = 5 * 2 ** 20

/** Multipart uploads over a store of this machine, by R2's rules: they and their parts are objects of the store. */
export class LocalMultipart {
  readonly #store: LocalStore
  readonly #locks = new KeyLocks()

  constructor(store: LocalStore) {
    this.#store = store
  }

  async start(key: string, headers: ObjectHeaders): Promise<string> {
    const id = randomUUID()
    const record = Buffer.from(JSON.stringify({ key, headers }))
    await this.#store.write(UPLOADS + id, [record], { headers: PLAIN, exclusive: true })
    return id
  }

  /** The bytes of one part, as they arrive. */
  async write(
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

  async parts(key: string, uploadId: string): Promise<readonly StoredPart[]> {
    await this.#upload(key, uploadId)
    const parts: StoredPart[] = []
    for await (const { key: name, size, etag } of this.#store.list(`${PARTS}${uploadId}/`)) {
      parts.push({ partNumber: Number(name.split('/')[2]), size, etag })
    }
    return parts.sort((a, b) => a.partNumber - b.partNumber)
  }

  /** Puts the parts together, and gives what they are to `write`. */
  complete(
    key: string,
    uploadId: string,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    write: (body: Bytes, headers: ObjectHeaders, etag: string) => Promise<unknown>,
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
      await write(joined(found), headers, etag)
      await this.abort(uploadId)
      return { etag }
    })
  }

  async abort(uploadId: string): Promise<void> {
    if (uploadId.startsWith(PARTIAL)) return await this.#store.discard(uploadId.slice(PARTIAL.length))
    await this.#store.remove(UPLOADS + uploadId)
    for await (const { key } of this.#store.list(`${PARTS}${uploadId}/`)) await this.#store.remove(key)
  }

  async *open(prefix: string): AsyncGenerator<OpenUpload> {
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

async function* joined(parts: readonly LocalObject[]): AsyncGenerator<Uint8Array> {
  for (const { head, body } of parts) yield* body(0, head.size - 1)
}
