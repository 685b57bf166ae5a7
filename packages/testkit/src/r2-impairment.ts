import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { R2Harm } from './r2-faults.ts'
import { S3Error } from './r2-s3-error.ts'

const STATUS_CODES = { 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable' } as const
// Slowed content goes out in pieces of this share of a second, so that it drips rather than gushes.
const PIECES_PER_SECOND = 20

/** The connection was reset on purpose: there is nobody left to answer. */
export class Cut extends Error {}

/** Does to one request what its faults ask for. Without faults every method lets everything through. */
export class R2Impairment {
  readonly #harm: Partial<R2Harm>
  readonly #socket: Socket
  readonly #signal: AbortSignal
  #started: number | undefined
  #passed = 0

  /** `signal` aborts when the connection closes: nobody waits for a client that has gone. */
  constructor(harm: R2Harm | undefined, socket: Socket, signal: AbortSignal) {
    this.#harm = harm ?? {}
    this.#socket = socket
    this.#signal = signal
  }

  /** What comes before the operation. */
  async before(): Promise<void> {
    const { latency = 0, cut, status, when } = this.#harm
    if (latency > 0) await sleep(latency, undefined, { signal: this.#signal })
    if (cut === 'before') this.#reset()
    if (status !== undefined && when === 'before') throw new S3Error(STATUS_CODES[status])
  }

  /** What comes after the operation has taken effect, before its answer. */
  after(): void {
    const { cut, status, when } = this.#harm
    if (cut === 'after') this.#reset()
    if (status !== undefined && when === 'after') throw new S3Error(STATUS_CODES[status])
  }

  /** Content on its way in. */
  async *incoming(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of source) {
      await this.#pace(chunk.length)
      if (typeof this.#harm.cut === 'number' && this.#passed > this.#harm.cut) this.#reset()
      yield chunk
    }
  }

  /** Content on its way out; `flush` resolves once its bytes have left for the network. */
  async *outgoing(
    source: AsyncIterable<Buffer>,
    flush: (bytes: Buffer) => Promise<void>,
  ): AsyncGenerator<Buffer, void, undefined> {
    const { cut, bytesPerSecond } = this.#harm
    const most =
      bytesPerSecond === undefined ? undefined : Math.max(1, Math.ceil(bytesPerSecond / PIECES_PER_SECOND))
    for await (const chunk of source) {
      for (let offset = 0; offset < chunk.length; ) {
        let piece = most === undefined ? chunk.subarray(offset) : chunk.subarray(offset, offset + most)
        offset += piece.length
        const left = typeof cut === 'number' ? cut - this.#passed : Number.POSITIVE_INFINITY
        const ends = left < piece.length
        if (ends) piece = piece.subarray(0, left)
        await this.#pace(piece.length)
        if (ends) {
          if (piece.length > 0) await flush(piece)
          // A reset could overtake what was sent; closing delivers exactly the bytes before the cut.
          this.#socket.destroySoon()
          throw new Cut()
        }
        yield piece
      }
    }
  }

  async #pace(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.#harm
    this.#passed += bytes
    if (bytesPerSecond === undefined) return
    this.#started ??= performance.now()
    const wait = this.#started + (this.#passed / bytesPerSecond) * 1000 - performance.now()
    if (wait >= 1) await sleep(wait, undefined, { signal: this.#signal })
  }

  #reset(): never {
    this.#socket.resetAndDestroy()
    throw new Cut()
  }
}
