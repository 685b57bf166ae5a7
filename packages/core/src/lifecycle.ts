/** Anything that lives long: `close()` is idempotent and draining, and `await using` calls it. */
export interface Closeable extends AsyncDisposable {
  /** Refuses new work, waits for what is under way, releases everything. Calling it again answers the same. */
  close(): Promise<void>
}

/** `closing` while work under way is waited for and resources are released. */
export type LifecycleState = 'open' | 'closing' | 'closed'

/** How an instance ends. */
export interface LifecycleOptions {
  /** Built for every call that comes after `close()`. */
  readonly closed: () => Error
  /** Milliseconds that `close()` waits for work under way before it releases everything. @default 10_000 */
  readonly drain?: number
}

/**
 * The life of one instance: counts work under way, refuses new work once closing, and releases what the
 * instance opened in the reverse order of opening, exactly once, whatever the releases throw.
 */
export class Lifecycle implements Closeable {
  readonly #options: LifecycleOptions
  readonly #releases: (() => unknown)[] = []
  readonly #controller = new AbortController()
  #pending = 0
  #idle: (() => void) | undefined
  #closing: Promise<void> | undefined
  #state: LifecycleState = 'open'

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  get state(): LifecycleState {
    return this.#state
  }

  /** Number of `run` and `enter` under way. */
  get pending(): number {
    return this.#pending
  }

  /** Aborts when `close()` begins to release, after the drain: for background loops. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Throws the instance's closed error unless it is open. */
  assertOpen(): void {
    if (this.#state !== 'open') throw this.#options.closed()
  }

  /** Registers something to release on close; last registered is released first. */
  onClose(release: () => unknown): void {
    this.assertOpen()
    this.#releases.push(release)
  }

  /** Marks work as under way until the returned function is called (once; more calls do nothing). */
  enter(): () => void {
    this.assertOpen()
    this.#pending++
    let left = false
    return () => {
      if (left) return
      left = true
      this.#pending--
      if (this.#pending === 0) this.#idle?.()
    }
  }

  /** Runs work that `close()` waits for. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const leave = this.enter()
    try {
      return await work()
    } finally {
      leave()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#state = 'closing'
    await this.#drained()
    this.#controller.abort(this.#options.closed())
    const failures: unknown[] = []
    for (const release of this.#releases.reverse()) {
      try {
        await release()
      } catch (error) {
        failures.push(error)
      }
    }
    this.#state = 'closed'
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, 'several resources could not be released')
  }

  async #drained(): Promise<void> {
    if (this.#pending === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.drain ?? 10_000)
      this.#idle = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
