import { backoff } from '@cays/core/backoff'

export interface BreakerOptions {
  /** Failures in a row after which nothing is sent any more. */
  readonly threshold: number
  /** One cheap call that shows whether the store answers again; rejects when it does not. */
  readonly probe: () => Promise<unknown>
}

type State =
  | { readonly kind: 'closed'; failures: number }
  | { readonly kind: 'open'; probes: number; timer: NodeJS.Timeout }
  | { readonly kind: 'ended' }

/**
 * Stops calls to a store that keeps failing, and finds out by itself when it is back: while open, no
 * decision waits; a probe in the background (after 100 ms, then up to 2 s apart) closes it again.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #state: State = { kind: 'closed', failures: 0 }

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get open(): boolean {
    return this.#state.kind === 'open'
  }

  succeeded(): void {
    if (this.#state.kind === 'closed') this.#state.failures = 0
  }

  failed(): void {
    if (this.#state.kind !== 'closed') return
    this.#state.failures++
    if (this.#state.failures >= this.#options.threshold) {
      this.#state = { kind: 'open', probes: 0, timer: this.#later(0) }
    }
  }

  end(): void {
    if (this.#state.kind === 'open') clearTimeout(this.#state.timer)
    this.#state = { kind: 'ended' }
  }

  #later(probes: number): NodeJS.Timeout {
    const pause = 100 + backoff(probes, { base: 100, cap: 1_900 })
    const timer = setTimeout(() => void this.#probe(), pause)
    timer.unref()
    return timer
  }

  async #probe(): Promise<void> {
    let answered = true
    try {
      await this.#options.probe()
    } catch {
      answered = false
    }
    const state = this.#state
    if (state.kind !== 'open') return
    if (answered) this.#state = { kind: 'closed', failures: 0 }
    else {
      state.probes++
      state.timer = this.#later(state.probes)
    }
  }
}
