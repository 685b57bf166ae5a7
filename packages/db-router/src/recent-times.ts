/** Texts whose times are remembered. */
const TEXTS = 500
/** Times remembered of each. */
const REMEMBERED = 100
/** Fewer times than this say nothing about the slowest of them. */
const FEWEST = 20
/** Times after which the percentile is taken again. */
const RENEWED = 10

/** How long a text took lately. */
export class RecentTimes {
  readonly #times: number[] = []
  #next = 0
  #percentile: number | undefined

  add(milliseconds: number): void {
    this.#times[this.#next % REMEMBERED] = milliseconds
    this.#next++
    if (this.#next < FEWEST || this.#next % RENEWED > 0) return
    const sorted = this.#times.toSorted((a, b) => a - b)
    this.#percentile = sorted[Math.floor(sorted.length * 0.95)]
  }

  /** What 95 % of them stayed below, in milliseconds; `undefined` while there are too few. */
  get percentile95(): number | undefined {
    return this.#percentile
  }
}

/** The recent times of each text, of the texts seen lately. */
export class TimesByText {
  readonly #known = new Map<string, RecentTimes>()

  of(text: string): RecentTimes {
    const known = this.#known.get(text)
    if (known) return known
    const times = new RecentTimes()
    this.#known.set(text, times)
    if (this.#known.size > TEXTS) this.#known.delete(this.#known.keys().next().value as string)
    return times
  }
}
