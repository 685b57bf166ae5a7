import type { ObjectHead, ObjectHeaders, ObjectInfo } from './provider.ts'

/** What the bytes of a write must turn out to be before they may be seen. */
export interface Expected {
  /** Base64. */
  readonly sha256?: string | undefined
  /** Base64. */
  readonly md5?: string | undefined
  readonly size?: number | undefined
}

/** How a write into a local store is to be done. */
export interface LocalWrite {
  readonly headers: ObjectHeaders
  /** Only when nothing has this key yet; decided by the store, atomically. */
  readonly exclusive: boolean
  readonly expected?: Expected | undefined
  /** The ETag, where it is not the MD5 of the bytes. */
  readonly etag?: string | undefined
}

/** An object of a local store. Its body is opened when it is read, and fails if it was replaced before. */
export interface LocalObject {
  readonly head: ObjectHead
  body(start: number, end: number): AsyncGenerator<Uint8Array>
}

/** Where a local provider keeps its bytes. A write is seen whole or not at all. Keys may be any text. */
export interface LocalStore {
  read(key: string): Promise<LocalObject | undefined>
  /** Throws `STORAGE_ERR_PRECONDITION` when `exclusive` and taken, `_CHECKSUM` or `_SIZE` by `expected`. */
  write(
    key: string,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    write: LocalWrite,
  ): Promise<ObjectInfo>
  remove(key: string): Promise<void>
  /** All of them, in no order. */
  list(prefix: string): AsyncIterable<ObjectInfo>
  /** Writes that never ended, for `sweep`. */
  unfinished(): AsyncIterable<{ readonly id: string; readonly startedAt: Date }>
  discard(id: string): Promise<void>
}
