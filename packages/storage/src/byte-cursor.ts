/** Reads a stream of bytes in pieces of any size, holding no more than the piece and one chunk. */
export class ByteCursor {
  readonly #source: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array()

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Exactly `count` bytes, or `undefined` when the stream ends before. */
  async take(count: number): Promise<Uint8Array | undefined> {
    const piece = new Uint8Array(count)
    for (let filled = 0; filled < count; ) {
      const chunk = await this.#chunk()
      if (!chunk) return undefined
      const taken = chunk.subarray(0, count - filled)
      piece.set(taken, filled)
      filled += taken.length
      this.#rest = chunk.subarray(taken.length)
    }
    return piece
  }

  /** Whether there were as many bytes to skip. */
  async skip(count: number): Promise<boolean> {
    for (let left = count; left > 0; ) {
      const chunk = await this.#chunk()
      if (!chunk) return false
      const skipped = Math.min(left, chunk.length)
      left -= skipped
      this.#rest = chunk.subarray(skipped)
    }
    return true
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #chunk(): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#source.next()
      if (done) return undefined
      this.#rest = value
    }
    return this.#rest
  }
}
