import { BodyDigest } from './body-digest.ts'
import { StorageError } from './errors.ts'
import type { LocalObject, LocalStore, LocalWrite } from './local-store.ts'
import type { ObjectHead, ObjectInfo } from './provider.ts'

interface Held {
  readonly head: ObjectHead
  readonly bytes: Uint8Array
}

/** Objects in this process, gone with it; refuses to hold more than `maxBytes`. */
export class MemoryStore implements LocalStore {
  readonly #objects = new Map<string, Held>()
  readonly #maxBytes: number
  #used = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  async read(key: string): Promise<LocalObject | undefined> {
    const held = this.#objects.get(key)
    return (
      held && {
        head: held.head,
        async *body(start, end) {
          if (end >= start) yield held.bytes.subarray(start, end + 1)
        },
      }
    )
  }

  async write(
    key: string,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { headers, exclusive, expected, etag }: LocalWrite,
  ): Promise<ObjectInfo> {
    const digest = new BodyDigest(expected)
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of body) {
        this.#take(chunk.length)
        digest.update(chunk)
        chunks.push(Uint8Array.from(chunk))
      }
      const md5 = digest.end()
      const before = this.#objects.get(key)
      if (exclusive && before) {
        throw new StorageError('STORAGE_ERR_PRECONDITION', 'there is an object of this key already')
      }
      const { contentDisposition, cacheControl, metadata = {} } = headers
      const about = { ...headers, contentDisposition, cacheControl, metadata }
      const head = { ...about, key, size: digest.size, etag: etag ?? md5, lastModified: new Date() }
      this.#objects.set(key, { head, bytes: Buffer.concat(chunks) })
      this.#used -= before?.bytes.length ?? 0
      return head
    } catch (error) {
      this.#used -= digest.size
      throw error
    }
  }

  async remove(key: string): Promise<void> {
    this.#used -= this.#objects.get(key)?.bytes.length ?? 0
    this.#objects.delete(key)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    for (const [key, { head }] of this.#objects) if (key.startsWith(prefix)) yield head
  }

  async *unfinished(): AsyncGenerator<never> {}

  async discard(): Promise<void> {}

  #take(bytes: number): void {
    if (this.#used + bytes > this.#maxBytes) {
      throw new StorageError(
        'STORAGE_ERR_SIZE',
        'memory: the bucket is full; raise maxBytes or delete objects',
      )
    }
    this.#used += bytes
  }
}
