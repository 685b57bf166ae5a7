interface Waiting {
  readonly until: number
  readonly reject: (reason: unknown) => void
}

/**
 * Gives every piece of work the same time. One timer watches over all of them: work that is done in time, as
 * nearly all is, arms and cancels none of its own. It keeps the process alive while work is under way, no longer.
 *
 * Work is late only when its result is not here either once the event loop has looked at its sockets: an
 * answer that waited behind a busy event loop counts.
 */
export class TimeLimit {
  readonly #milliseconds: number
  readonly #late: () => unknown
  // In the order they began, which is the order they run out.
  readonly #waiting = new Set<Waiting>()
  /** Set while it watches, until it has looked. */
  #timer: NodeJS.Timeout | undefined

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
      if (!this.#timer) this.#watch(this.#milliseconds)
      else if (this.#waiting.size === 1) this.#timer.ref()
      work.then(
        (value) => {
          this.#done(waiting)
          resolve(value)
        },
        (error: unknown) => {
          this.#done(waiting)
          reject(error)
        },
      )
    })
  }

  #done(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#waiting.size === 0) this.#timer?.unref()
  }

  #watch(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      const now = performance.now()
      setImmediate(() => setImmediate(() => this.#look(now)))
    }, Math.ceil(milliseconds))
  }

  #look(now: number): void {
    this.#timer = undefined
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
