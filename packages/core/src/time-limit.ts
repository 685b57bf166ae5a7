interface Waiting {
  readonly until: number
  readonly reject: (reason: unknown) => void
}

/**
 * Gives every piece of work the same time. One timer watches over all of them: work that is done in time, as
 * nearly all is, arms and cancels none of its own. It keeps no process alive.
 *
 * Work is late only when its result is not here either once the event loop has looked at its sockets: an
 * answer that waited behind a busy event loop counts.
 */
export class TimeLimit {
  readonly #milliseconds: number
  readonly #late: () => unknown
  // In the order they began, which is the order they run out.
  readonly #waiting = new Set<Waiting>()
  #watching = false

  /** `late` makes the reason of a rejection. */
  constructor(milliseconds: number, late: () => unknown) {
    this.#milliseconds = milliseconds
    this.#late = late
  }

  /** Settles as `work` does, or rejects when its time is over. It cannot stop the work. */
  race<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { until: performance.now() + this.#milliseconds, reject }
      this.#waiting.add(waiting)
      if (!this.#watching) this.#watch(this.#milliseconds)
      work.then(
        (value) => {
          this.#waiting.delete(waiting)
          resolve(value)
        },
        (error: unknown) => {
          this.#waiting.delete(waiting)
          reject(error)
        },
      )
    })
  }

  #watch(milliseconds: number): void {
    this.#watching = true
    setTimeout(() => {
      const now = performance.now()
      setImmediate(() => setImmediate(() => this.#look(now)))
    }, Math.ceil(milliseconds)).unref()
  }

  #look(now: number): void {
    this.#watching = false
    for (const waiting of this.#waiting) {
      if (waiting.until > now) {
        this.#watch(waiting.until - now)
        return
      }
      this.#waiting.delete(waiting)
      waiting.reject(this.#late())
    }
  }
}
