import { delay } from '@cays/core/abort'

/** Where a limiter gets its time from. */
export interface Time {
  /** Microseconds since the epoch; never goes back. */
  readonly now: () => number
  /** Resolves after so many milliseconds; rejects when the signal aborts. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>
  /** Calls back after so many milliseconds unless the returned function is called; keeps no process alive. */
  later(milliseconds: number, run: () => void): () => void
}

/** Starts at the wall clock and then follows the monotonic one: a clock that is set back grants nothing. */
export function platformTime(): Time {
  const start = Date.now() * 1_000 - performance.now() * 1_000
  return {
    now: () => Math.floor(start + performance.now() * 1_000),
    wait: (milliseconds, signal) => delay(milliseconds, { signal }),
    later(milliseconds, run) {
      const timer = setTimeout(run, milliseconds)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
