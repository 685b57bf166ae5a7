import { StorageError, StorageUsageError } from './errors.ts'

/** What `put` takes: bytes, text, or a stream of bytes of known or unknown length. */
export type Source = Uint8Array | string | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** The bytes at hand, when the source is no stream. */
export function bytesOf(source: Source): Uint8Array | undefined {
  if (typeof source === 'string') return Buffer.from(source)
  return source instanceof Uint8Array ? source : undefined
}

/** One way to read every kind of stream, and to let go of it even while it is silent. */
interface Feed {
  /** The next chunk; `undefined` at the end. */
  next(): Promise<unknown>
  cancel(): void
}

/**
 * Reads a stream in blocks of exactly the size asked for, the last one shorter. It never holds more than the
 * block being filled and the one chunk that the stream handed over.
 */
export class BlockReader {
  readonly #feed: Feed
  readonly #signal: AbortSignal | undefined
  /** One timer for all chunks: a stream has many of them. */
  readonly #patience: NodeJS.Timeout
  #silent: StorageError | undefined
  #fail: (reason: unknown) => void = ignore
  #rest: Uint8Array | undefined
  #ended = false

  /** A stream that gives nothing for `patience` milliseconds has failed. Needs its `cancel` in the end. */
  constructor(source: Exclude<Source, string | Uint8Array>, patience: number, signal?: AbortSignal) {
    this.#feed = feedOf(source)
    this.#signal = signal
    this.#patience = setTimeout(() => {
      this.#silent = new StorageError('STORAGE_ERR_SOURCE', 'put: the stream gave nothing for too long')
      this.#fail(this.#silent)
    }, patience)
    signal?.addEventListener('abort', this.#abort)
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

  /** Tells the stream that nobody reads on. Does not wait for its answer: a silent stream never gives one. */
  cancel(): void {
    clearTimeout(this.#patience)
    this.#signal?.removeEventListener('abort', this.#abort)
    if (this.#ended) return
    this.#ended = true
    this.#feed.cancel()
  }

  readonly #abort = () => this.#fail(this.#signal?.reason)

  async #next(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined
    const chunk = await this.#wait()
    if (chunk === undefined) {
      this.#ended = true
      return undefined
    }
    if (!(chunk instanceof Uint8Array)) {
      throw new StorageUsageError(
        'STORAGE_ERR_OPTION',
        'put: the stream must give bytes, not text or objects',
      )
    }
    return chunk
  }

  async #wait(): Promise<unknown> {
    this.#signal?.throwIfAborted()
    this.#silent = undefined
    this.#patience.refresh()
    try {
      return await new Promise((resolve, reject) => {
        this.#fail = reject
        this.#feed.next().then(resolve, reject)
      })
    } catch (cause) {
      if (cause === this.#silent || this.#signal?.aborted) throw cause
      this.#ended = true
      throw new StorageError('STORAGE_ERR_SOURCE', 'put: the stream failed before its end', { cause })
    } finally {
      this.#fail = ignore
    }
  }
}

function ignore(): void {}

function feedOf(source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): Feed {
  if (source instanceof ReadableStream) {
    const reader = source.getReader()
    return {
      next: async () => {
        const { done, value } = await reader.read()
        return done ? undefined : value
      },
      cancel: () => void reader.cancel().catch(() => {}),
    }
  }
  if (typeof source?.[Symbol.asyncIterator] !== 'function') {
    throw new StorageUsageError(
      'STORAGE_ERR_OPTION',
      'put: the source must be bytes, a string or a stream of bytes',
    )
  }
  const iterator = source[Symbol.asyncIterator]()
  return {
    next: async () => {
      const { done, value } = await iterator.next()
      return done ? undefined : value
    },
    cancel: () => {
      // A Node stream that waits for data does not hear `return`, but ends when it is destroyed.
      const { destroy } = source as { destroy?: unknown }
      if (typeof destroy === 'function') destroy.call(source)
      // The reason why nobody reads on is what the caller should see, not what the stream says to it.
      else void iterator.return?.().then(undefined, () => {})
    },
  }
}
