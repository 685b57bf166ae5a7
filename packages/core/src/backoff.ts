/** The curve of the waits; see {@link backoff}. */
export interface BackoffOptions {
  /** Upper bound of the first wait, in milliseconds. */
  readonly base: number
  /** Upper bound of every wait, in milliseconds. */
  readonly cap: number
  /** @default 2 */
  readonly factor?: number
  /** A number in [0, 1); seeded in tests. @default Math.random */
  readonly random?: () => number
}

/**
 * Milliseconds to wait before try number `attempt` (0 for the first retry): exponential with full jitter, a
 * uniform draw between 0 and `min(cap, base * factor ** attempt)`. Full jitter spreads a crowd of clients
 * best for the same number of calls (Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).
 */
export function backoff(attempt: number, options: BackoffOptions): number {
  const { base, cap, factor = 2, random = Math.random } = options
  return random() * Math.min(cap, base * factor ** attempt)
}
