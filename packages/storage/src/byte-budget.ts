import { BlockPool } from './block-pool.ts'

/** Bytes of the process's budget that one transfer holds; released once. */
export interface Grant {
  readonly bytes: number
  /** A buffer of that size, made when it is first asked for; its content is anything. */
  readonly block: Buffer
  /** `done`: nobody will touch `block` any more, so others may have it. */
  release(done?: boolean): void
}

interface Waiter {
  readonly bytes: number
  readonly grant: (grant: Grant) => void
}

/**
 * One budget of bytes for all transfers of a storage: a buffer is allocated only after its bytes were granted.
 *
 * Fair: strictly first come, first served, so a large request is never starved by small ones. Free of
 * deadlock because a transfer asks for its next part only when it holds none that waits for another grant;
 * each grant alone always fits (`bytes` is at most the total) and every holder gives back without asking
 * for more.
 */
export class ByteBudget {
  readonly total: number
  #free: number
  #spared = 0
  readonly #waiting: Waiter[] = []
  readonly #blocks = new BlockPool()

  constructor(total: number) {
    this.total = total
    this.#free = total
  }

  get used(): number {
    return this.total - this.#free
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Resolves when the bytes are granted; rejects with `signal.reason` and leaves the queue when aborted. */
  async acquire(bytes: number, signal?: AbortSignal): Promise<Grant> {
    signal?.throwIfAborted()
    if (bytes > this.total) throw new RangeError('a grant cannot exceed the whole budget')
    if (this.#waiting.length === 0 && bytes <= this.#free) return this.#take(bytes)
    return await new Promise<Grant>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        grant: (grant) => {
          signal?.removeEventListener('abort', abort)
          resolve(grant)
        },
      }
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        // Whoever stood behind the one that left may fit now.
        this.#serve()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiter)
    })
  }

  /**
   * Memory to read ahead with, when there is some and nobody waits; never more than half of the budget in all.
   * So whoever holds it and waits for `acquire` itself, or makes others wait, cannot stop everything.
   */
  spare(bytes: number): Grant | undefined {
    if (this.#waiting.length > 0 || bytes > this.#free || this.#spared + bytes > this.total / 2)
      return undefined
    this.#spared += bytes
    return this.#take(bytes, () => {
      this.#spared -= bytes
    })
  }

  #take(bytes: number, released = () => {}): Grant {
    this.#free -= bytes
    const blocks = this.#blocks
    let block: Buffer | undefined
    let held = true
    return {
      bytes,
      get block() {
        block ??= blocks.take(bytes)
        return block
      },
      release: (done = false) => {
        if (!held) return
        held = false
        this.#free += bytes
        released()
        if (done && block) blocks.give(block)
        this.#serve()
      },
    }
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next && next.bytes <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift()
      next.grant(this.#take(next.bytes))
    }
  }
}
