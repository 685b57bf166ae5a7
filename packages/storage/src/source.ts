import { StorageError, StorageUsageError } from './errors.ts'

/** What `put` takes: bytes, text, or a stream of bytes of known or unknown length. */
export type Source = Uint8Array | string | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** The bytes at hand, when the source is no stream. */
export function bytesOf(source: Source): Uint8Array | undefined {
  if (typeof source === 'string') return Buffer.from(source)
  return source instanceof Uint8Array ? source : undefined
}

/**
 * Reads a stream in blocks of exactly the size asked for, the last one shorter. It never holds more than the
 * block being filled and the one chunk that the stream handed over.
 */
export class BlockReader {
  readonly #iterator: AsyncIterator<Uint8Array>
  #rest: Uint8Array | undefined
  #ended = false

  constructor(source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>) {
    const iterable = source as AsyncIterable<Uint8Array>
    if (typeof iterable?.[Symbol.asyncIterator] !== 'function') {
      throw new StorageUsageError(
        'STORAGE_ERR_OPTION',
        'put: the source must be bytes, a string or a stream of bytes',
      )
    }
    this.#iterator = iterable[Symbol.asyncIterator]()
  }

  /** Fills `block` as far as the stream goes and gives the filled part. */
  async fill(block: Uint8Array): Promise<Uint8Array> {
    let filled = 0
    while (filled < block.length) {
      const chunk = this.#rest ?? (await this.#next())
      if (!chunk) break
      const taken = chunk.subarray(0, block.length - filled)
      block.set(taken, filled)
      filled += taken.length
      this.#rest = taken.length < chunk.length ? chunk.subarray(taken.length) : undefined
    }
    return block.subarray(0, filled)
  }

  /** True when nothing more comes; may have to read a chunk ahead to know. */
  async ended(): Promise<boolean> {
    while (!this.#rest) {
      const chunk = await this.#next()
      if (!chunk) return true
      if (chunk.length > 0) this.#rest = chunk
    }
    return false
  }

  /** Tells the stream that nobody reads on. */
  async cancel(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    try {
      await this.#iterator.return?.()
    } catch {
      // The reason why nobody reads on is what the caller should see.
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined
    let result: IteratorResult<Uint8Array>
    try {
      result = await this.#iterator.next()
    } catch (cause) {
      this.#ended = true
      throw new StorageError('STORAGE_ERR_SOURCE', 'put: the stream failed before its end', { cause })
    }
    if (result.done) {
      this.#ended = true
      return undefined
    }
    if (!(result.value instanceof Uint8Array)) {
      throw new StorageUsageError(
        'STORAGE_ERR_OPTION',
        'put: the stream must give bytes, not text or objects',
      )
    }
    return result.value
  }
}
