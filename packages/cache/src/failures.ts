/** More keys failing at once than this and the oldest are forgotten: they are loaded again a little early. */
const MAX = 10_000

/** Keys whose load failed a moment ago, with the error their callers get until the back-off ends. */
export class Failures {
  readonly #failures = new Map<string, { readonly error: unknown; readonly until: number }>()

  add(key: string, error: unknown, backoff: number): void {
    if (backoff <= 0) return
    this.#failures.delete(key)
    this.#failures.set(key, { error, until: performance.now() + backoff })
    if (this.#failures.size <= MAX) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      break
    }
  }

  get(key: string): { readonly error: unknown } | undefined {
    if (this.#failures.size === 0) return undefined
    const failure = this.#failures.get(key)
    if (failure && performance.now() >= failure.until) {
      this.#failures.delete(key)
      return undefined
    }
    return failure
  }

  delete(key: string): void {
    this.#failures.delete(key)
  }
}
