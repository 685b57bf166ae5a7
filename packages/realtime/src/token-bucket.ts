/** Decides whether `n` more messages may be taken now. Any limiter of this shape fits. */
export interface Taker {
  /** True when the `n` messages are taken; false takes none. */
  take(n: number): boolean
}

/** How many messages may come, steadily and at once. */
export interface TokenBucketOptions {
  /** Tokens per second. */
  readonly rate: number
  readonly burst: number
}

/** A token bucket of two numbers: starts full, refills continuously. */
export class TokenBucket implements Taker {
  readonly #options: TokenBucketOptions
  #tokens: number
  #at: number

  constructor(options: TokenBucketOptions, now: number = performance.now()) {
    this.#options = options
    this.#tokens = options.burst
    this.#at = now
  }

  take(n: number, now: number = performance.now()): boolean {
    const { rate, burst } = this.#options
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1_000) * rate)
    this.#at = now
    if (this.#tokens < n) return false
    this.#tokens -= n
    return true
  }
}
