import type { Grant } from './byte-budget.ts'

/** A range that is fetched before its turn comes, into memory that was granted for all of it. */
export class RangeAhead {
  /** Settles when nothing writes into memory any more; never rejects. */
  readonly fetched: Promise<void>
  readonly #grant: Grant
  readonly #chunks: Uint8Array[] = []
  #failure: { readonly error: unknown } | undefined
  #ended = false
  #wake = () => {}

  constructor(range: AsyncIterable<Uint8Array>, grant: Grant) {
    this.#grant = grant
    this.fetched = this.#fetch(range)
  }

  /** The bytes that are there, and the others as they arrive; memory is free when the last one was taken. */
  async *read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk) yield chunk
      else if (this.#ended) break
      else await this.#more()
    }
    if (this.#failure) throw this.#failure.error
    this.#grant.release()
  }

  /** Nobody reads it, or reads on. */
  async drop(): Promise<void> {
    await this.fetched
    this.#grant.release()
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async #fetch(range: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of range) {
        this.#chunks.push(chunk)
        this.#wake()
      }
    } catch (error) {
      this.#failure = { error }
    }
    this.#ended = true
    this.#wake()
  }
}
