import { UnavailableError } from './errors.ts'

/**
 * How many reads that found no replica may use the primary at once. Without a limit, replicas that die take
 * the primary with them.
 */
export class PrimaryShare {
  readonly #slots: number
  readonly #queueSize: number
  readonly #queue: (() => void)[] = []
  #used = 0

  constructor(slots: number, queue: number) {
    this.#slots = slots
    this.#queueSize = queue
  }

  get used(): number {
    return this.#used
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Takes a place, now or when one is free; rejects at once when too many wait. Call `leave` for each. */
  enter(signal: AbortSignal | undefined): undefined | Promise<void> {
    if (this.#used < this.#slots) {
      this.#used++
      return undefined
    }
    if (this.#queue.length >= this.#queueSize) {
      return Promise.reject(
        new UnavailableError(
          'DB_ERR_FALLBACK_SHED',
          'no replica can serve reads and the share of the primary set aside for them is used up; try again later',
        ),
      )
    }
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        this.#queue.splice(this.#queue.indexOf(admit), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#queue.push(admit)
    })
  }

  leave(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#used--
  }
}
