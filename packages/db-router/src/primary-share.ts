import { UnavailableError } from './errors.ts'

interface Waiter {
  readonly since: number
  admit(): void
  refuse(error: unknown): void
}

/** How much of the primary reads may use that found no replica, and how many of them may wait, how long. */
export interface ShareLimits {
  readonly slots: number
  readonly queue: number
  /** Milliseconds. */
  readonly wait: number
  /** What a read takes on the primary, in milliseconds, while nothing better is known. */
  readonly usual: () => number
}

/**
 * How many reads that found no replica may use the primary at once. Without a limit, replicas that die take
 * the primary with them.
 *
 * A read that would not get its turn within half of `wait`, by the pace at which places became free lately, is refused at
 * once: under a load that the primary cannot carry nobody waits in vain. The other half is for estimates that were wrong.
 */
export class PrimaryShare {
  readonly #limits: ShareLimits
  readonly #queue: Waiter[] = []
  #used = 0
  /** Milliseconds between two places that became free while none was. */
  #pace = 0
  /** `performance.now()` when a place became free, or the last one was taken. */
  #changedAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(limits: ShareLimits) {
    this.#limits = limits
  }

  get used(): number {
    return this.#used
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Takes a place, now or when one is free; rejects at once when it would take too long. Call `leave` for each. */
  enter(signal: AbortSignal | undefined): undefined | Promise<void> {
    const now = performance.now()
    const { slots, queue, wait } = this.#limits
    if (this.#used < slots) {
      if (++this.#used === slots) this.#changedAt = now
      return undefined
    }
    if (this.#queue.length >= queue || this.#expected(now) > wait / 2) return Promise.reject(shed())
    return new Promise((resolve, reject) => {
      const settle = () => signal?.removeEventListener('abort', abort)
      const waiter: Waiter = {
        since: now,
        admit: () => {
          settle()
          resolve()
        },
        refuse: (error) => {
          settle()
          reject(error)
        },
      }
      const abort = () => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1)
        waiter.refuse(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#queue.push(waiter)
      this.#timer ??= this.#expireIn(wait)
    })
  }

  leave(): void {
    const now = performance.now()
    if (this.#used === this.#limits.slots) {
      const took = now - this.#changedAt
      this.#pace = this.#pace === 0 ? took : this.#pace + (took - this.#pace) * 0.1
      this.#changedAt = now
    }
    const next = this.#queue.shift()
    if (next) next.admit()
    else this.#used--
  }

  /** Milliseconds until who comes now would get a place. */
  #expected(now: number): number {
    const { slots, usual } = this.#limits
    const pace = this.#pace || usual() / slots
    // When nothing becomes free for long, what was measured before says nothing.
    return Math.max((this.#queue.length + 1) * pace, now - this.#changedAt)
  }

  #expireIn(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#expire(), milliseconds).unref()
  }

  #expire(): void {
    this.#timer = undefined
    const { wait } = this.#limits
    const now = performance.now()
    for (;;) {
      const [first] = this.#queue
      if (!first) return
      const left = first.since + wait - now
      if (left > 0) {
        this.#timer = this.#expireIn(left)
        return
      }
      this.#queue.shift()
      first.refuse(shed())
    }
  }
}

function shed(): UnavailableError {
  return new UnavailableError(
    'DB_ERR_FALLBACK_SHED',
    'no replica can serve reads and the share of the primary set aside for them is used up; try again later',
  )
}
