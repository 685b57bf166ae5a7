const EVERY = 10

/** Measures how late timers come; the answer tells the p99 in milliseconds since it was asked last. */
export function countingLag(): { readonly p99: () => number; readonly stop: () => void } {
  let lags: number[] = []
  let due = performance.now() + EVERY
  const timer = setInterval(() => {
    const now = performance.now()
    lags.push(Math.max(0, now - due))
    due = now + EVERY
  }, EVERY)
  return {
    p99() {
      const sorted = lags.toSorted((a, b) => a - b)
      lags = []
      return sorted[Math.floor(sorted.length * 0.99)] ?? 0
    },
    stop: () => clearInterval(timer),
  }
}
