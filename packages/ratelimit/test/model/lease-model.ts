import type { Policy } from '../../src/index.ts'

/** What may be admitted of one policy, in units. Written from what leases promise. */
interface Promised {
  /** Admissions of one window may not pass this; for windows and calendar periods. */
  readonly perWindow?: number
  /** Length of a window in microseconds, when it is the same for all. */
  readonly window?: number
  /** Windows begin at multiples of their length, wherever the store has counted an admission. */
  readonly aligned?: boolean
  /** No span of time may hold more than this and `rate` units per microsecond of it. */
  readonly burst?: number
  readonly rate?: number
  /** No span of `window` may hold more than this. */
  readonly perSpan?: number
}

/** Hears of every admission and of the true time it was made at, and says which promise was broken. */
export class LeaseModel {
  readonly broken: string[] = []
  readonly #promised: Readonly<Record<string, Promised>>
  readonly #windows = new Map<string, number>()
  readonly #spans = new Map<string, { at: number; cost: number }[]>()
  readonly #levels = new Map<string, { level: number; at: number }>()

  constructor(policies: Readonly<Record<string, Policy>>, maxShare: number) {
    this.#promised = Object.fromEntries(
      Object.entries(policies).map(([name, { algorithm, limit, capacity, window: milliseconds }]) => {
        const window = milliseconds * 1_000
        const held = maxShare * Math.min(limit, capacity)
        if (algorithm === 'quota') return [name, { perWindow: limit }]
        if (algorithm === 'fixed-window') return [name, { perWindow: limit, window }]
        // Refilled in intervals: a full bucket at most, within each of them.
        if (name === 'interval') return [name, { perWindow: capacity, window }]
        if (algorithm === 'sliding-window') return [name, { perWindow: limit + held, window, aligned: true }]
        if (algorithm === 'sliding-log') return [name, { perSpan: limit + held, window }]
        return [name, { burst: capacity + held, rate: limit / window }]
      }),
    )
  }

  admit(name: string, at: number, cost: number, start: number): void {
    const { perWindow, perSpan, burst, rate = 0, window, aligned } = this.#promised[name] ?? {}
    if (perWindow !== undefined) {
      const begin = aligned && window ? at - (at % window) : start
      const key = `${name} ${begin}`
      const sum = (this.#windows.get(key) ?? 0) + cost
      this.#windows.set(key, sum)
      if (sum > perWindow) this.broken.push(`${name}: ${sum} in the window from ${begin}`)
      const end = window === undefined ? begin + 3_600_000_000 : begin + window
      if (at >= end) this.broken.push(`${name}: admitted ${at - end} µs after its window`)
    }
    if (perSpan !== undefined && window !== undefined) {
      const span = [...(this.#spans.get(name) ?? []), { at, cost }].filter(
        (charge) => charge.at > at - window,
      )
      this.#spans.set(name, span)
      const sum = span.reduce((total, charge) => total + charge.cost, 0)
      if (sum > perSpan) this.broken.push(`${name}: ${sum} in ${window} µs`)
    }
    if (burst !== undefined) {
      // Admissions of Redis are heard of a little late: the order of their times is not that of the news.
      const { level, at: seen } = this.#levels.get(name) ?? { level: 0, at }
      const drained = Math.max(0, level - Math.max(0, at - seen) * rate)
      const now = drained + cost
      this.#levels.set(name, { level: now, at: Math.max(at, seen) })
      if (now > burst + 1e-6) this.broken.push(`${name}: ${now} at once`)
    }
  }

  /** Milli-units admitted in the period that began then. */
  inPeriod(name: string, start: number): number {
    return Math.round((this.#windows.get(`${name} ${start}`) ?? 0) * 1_000)
  }
}
