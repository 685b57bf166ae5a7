import type { Duration } from '@cays/core/duration'
import type { QueryResult } from 'pg'
import { type HedgedRead, type Hedging, Superseded } from './hedged-read.ts'
import { TimesByText } from './recent-times.ts'
import { optionReader } from './settings.ts'

export type { HedgedRead, Hedging } from './hedged-read.ts'

/** When a read is sent a second time, and how often that may happen. */
export interface HedgeOptions {
  /** How long the first server has to answer. @default as long as 95 % of the latest 100 runs of the same text took */
  readonly after?: Duration
  /**
   * Second reads per read, more than 0 and at most 1: however slow the servers are, they get no more than that on top.
   * @default 0.05
   */
  readonly budget?: number
}

/** Second reads that can be saved up. */
const SAVED = 10
/** A shorter wait tells nothing, in milliseconds. */
const SHORTEST = 1

/**
 * Reads whose server is late are sent to another replica as well; the first answer counts, the other is cancelled. For the
 * `hedge` option of the router, or of single statements (Dean and Barroso, "The Tail at Scale", 2013).
 *
 * Only reads outside of transactions are, and only to replicas: never to the primary, nor to one without a free connection.
 * Sessions see what they have to see. One object may serve any number of routers and statements; they share its budget.
 *
 * @example
 * ```ts
 * const hedge = hedging({ budget: 0.05 })
 * const { rows } = await db.query({ text: 'select * from jobs where id = $1', values: [1], hedge })
 * ```
 */
export function hedging(options: HedgeOptions = {}): Hedging {
  const read = optionReader('hedging')
  read.known(options, ['after', 'budget'])
  const after = options.after === undefined ? undefined : read.duration('after', options.after, 0)
  return new BudgetedHedging(after, read.number('budget', options.budget, 0.05, { min: 0.001, max: 1 }))
}

class BudgetedHedging implements Hedging {
  readonly #after: number | undefined
  readonly #budget: number
  readonly #times = new TimesByText()
  #credit = 0

  constructor(after: number | undefined, budget: number) {
    this.#after = after
    this.#budget = budget
  }

  async run(read: HedgedRead): Promise<QueryResult> {
    this.#credit = Math.min(this.#credit + this.#budget, SAVED)
    const times = this.#times.of(read.text)
    const started = performance.now()
    const result = await this.#race(read, this.#after ?? times.percentile95)
    times.add(performance.now() - started)
    return result
  }

  #race(read: HedgedRead, after: number | undefined): Promise<QueryResult> {
    const one = new AbortController()
    const two = new AbortController()
    return new Promise((resolve, reject) => {
      let over = false
      let second = false
      let failure: { readonly error: unknown } | undefined
      const answered = (loser: AbortController) => (result: QueryResult) => {
        if (over) return
        over = true
        clearTimeout(timer)
        resolve(result)
        loser.abort(new Superseded())
      }
      const late = async () => {
        const start = this.#credit >= 1 ? await read.second() : undefined
        // Others may have spent it, or the answer has come, while a server was looked for.
        if (!start || over || this.#credit < 1) return
        this.#credit--
        second = true
        start(two.signal).then(answered(one), () => {
          second = false
          if (failure) reject(failure.error)
        })
      }
      const timer = after === undefined ? undefined : setTimeout(late, Math.max(after, SHORTEST))
      read.first(one.signal).then(answered(two), (error: unknown) => {
        clearTimeout(timer)
        failure = { error }
        over = !second
        if (over) reject(error)
      })
    })
  }
}
