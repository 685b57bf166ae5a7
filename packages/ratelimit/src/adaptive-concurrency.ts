import { OptionReader } from '@cays/core/options'
import { LimitConfigError } from './errors.ts'
import { badArgument } from './shapes.ts'

/** The bounds of a limit that finds itself. */
export interface AdaptiveConcurrencyOptions<Share extends string = string> {
  /** The limit at the start. @default 20 */
  readonly initial?: number
  /** @default 4 */
  readonly min?: number
  /** @default 200 */
  readonly max?: number
  /**
   * Parts of the limit that kinds of work are sure of, adding up to 1 at most. Each may use what is free; when
   * nothing is, each still gets its part.
   */
  readonly shares?: { readonly [Name in Share]: number }
  /** How much slower than usual an answer may be before the limit shrinks. @default 1.5 */
  readonly tolerance?: number
  /** Part of the way that one measurement moves the limit. @default 0.2 */
  readonly smoothing?: number
}

/** A place taken, or the answer that there is none. `using` gives it back as `'ok'`. */
export interface AdaptiveSlot extends Disposable {
  readonly allowed: boolean
  /**
   * Gives the place back: `'ok'` measures how long it took, `'dropped'` (a timeout, an overloaded dependency)
   * shrinks the limit, `'ignored'` teaches nothing. Does nothing the second time.
   */
  release(result?: 'ok' | 'dropped' | 'ignored'): void
}

/** A limit on work in progress that follows what the work's own speed says. */
export interface AdaptiveConcurrency<Share extends string = string> {
  /** Answers at once; there is no queue. `share` is required when there are shares. */
  enter(share?: Share): AdaptiveSlot
  /** Places there are now. */
  readonly limit: number
  /** Places taken. */
  readonly inFlight: number
}

// Measurements are judged together: a single slow answer says little.
const SAMPLES = 10
const WINDOW = 100
const LONG_TERM = 600
const WARM_UP = 10

/**
 * Sheds load before it queues: the number of calls admitted at once shrinks when they take longer than they
 * used to, and grows while they do not. In this process alone, without timers.
 *
 * The algorithm is Gradient2 of Netflix' concurrency-limits: the ratio of the long-term to the present
 * duration scales the limit, with room for a queue of its square root, smoothed; the limit stands still
 * while less than half of it is used.
 *
 * @example
 * ```ts
 * const shed = adaptiveConcurrency({ shares: { live: 0.9, batch: 0.1 } })
 * using slot = shed.enter('live')
 * if (!slot.allowed) throw new Error('busy')
 * ```
 */
export function adaptiveConcurrency<Share extends string = string>(
  options: AdaptiveConcurrencyOptions<Share> = {},
): AdaptiveConcurrency<Share> {
  return new Gradient(options)
}

class Gradient implements AdaptiveConcurrency {
  readonly #min: number
  readonly #max: number
  readonly #tolerance: number
  readonly #smoothing: number
  readonly #shares: Readonly<Record<string, number>> | undefined
  readonly #taken = new Map<string, number>()
  #limit: number
  #inFlight = 0
  #long = 0
  #judged = 0
  #since = performance.now()
  #samples = 0
  #total = 0
  #busiest = 0
  #dropped = false

  constructor(options: AdaptiveConcurrencyOptions) {
    const reader = new OptionReader(
      'adaptiveConcurrency',
      (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
    )
    reader.known(options, ['initial', 'min', 'max', 'shares', 'tolerance', 'smoothing'])
    this.#min = reader.integer('min', options.min, 4, { min: 1 })
    this.#max = reader.integer('max', options.max, 200, { min: this.#min })
    this.#limit = reader.integer('initial', options.initial, Math.min(this.#max, Math.max(this.#min, 20)), {
      min: this.#min,
      max: this.#max,
    })
    this.#tolerance = reader.number('tolerance', options.tolerance, 1.5, { min: 1 })
    this.#smoothing = reader.number('smoothing', options.smoothing, 0.2, { min: 0.01, max: 1 })
    this.#shares = options.shares
    if (this.#shares !== undefined) {
      if (typeof this.#shares !== 'object' || this.#shares === null) {
        reader.fail('shares must be an object of parts by kind of work, such as { live: 0.9, batch: 0.1 }')
      }
      const parts = Object.entries(this.#shares).map(([name, part]) =>
        reader.number(`shares.${name}`, part, 0, { min: 0, max: 1 }),
      )
      if (parts.length === 0) reader.fail('shares must name at least one kind of work')
      if (parts.reduce((sum, part) => sum + part, 0) > 1 + 1e-9)
        reader.fail('shares must add up to 1 at most')
    }
  }

  get limit(): number {
    return Math.floor(this.#limit)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  enter(share?: string): AdaptiveSlot {
    const part = this.#partOf(share)
    const name = share ?? ''
    const taken = this.#taken.get(name) ?? 0
    const sure = part === undefined ? 0 : Math.max(1, Math.floor(this.limit * part))
    if (this.#inFlight >= this.limit && taken >= sure) return REFUSED
    this.#inFlight++
    this.#taken.set(name, taken + 1)
    this.#busiest = Math.max(this.#busiest, this.#inFlight)
    const started = performance.now()
    let held = true
    const release = (result: 'ok' | 'dropped' | 'ignored' = 'ok') => {
      if (!held) return
      held = false
      this.#inFlight--
      this.#taken.set(name, (this.#taken.get(name) ?? 1) - 1)
      if (result !== 'ignored') this.#measure(performance.now() - started, result === 'dropped')
    }
    return { allowed: true, release, [Symbol.dispose]: () => release() }
  }

  #partOf(share: string | undefined): number | undefined {
    if (this.#shares === undefined) {
      if (share === undefined) return undefined
    } else if (share !== undefined && Object.hasOwn(this.#shares, share)) return this.#shares[share]
    throw badArgument('name one of the shares of this limiter, or none when it has none')
  }

  #measure(duration: number, dropped: boolean): void {
    this.#dropped ||= dropped
    this.#samples++
    this.#total += duration
    const now = performance.now()
    if (this.#samples < SAMPLES || now - this.#since < WINDOW) return
    this.#judge(Math.max(0.001, this.#total / this.#samples))
    this.#since = now
    this.#samples = 0
    this.#total = 0
    this.#busiest = this.#inFlight
    this.#dropped = false
  }

  #judge(short: number): void {
    this.#judged++
    // The average of the first measurements, then an exponential one over about 600.
    const weight = this.#judged <= WARM_UP ? 1 / this.#judged : 2 / (LONG_TERM + 1)
    this.#long += (short - this.#long) * weight
    // After a long overload the usual duration is far too long: it comes down faster.
    if (this.#long / short > 2) this.#long *= 0.95
    if (this.#dropped) {
      this.#limit = Math.max(this.#min, this.#limit * 0.9)
      return
    }
    if (this.#busiest < this.#limit / 2) return
    const gradient = Math.max(0.5, Math.min(1, (this.#tolerance * this.#long) / short))
    const aim = this.#limit * gradient + Math.sqrt(this.#limit)
    const next = this.#limit * (1 - this.#smoothing) + aim * this.#smoothing
    this.#limit = Math.max(this.#min, Math.min(this.#max, next))
  }
}

const REFUSED: AdaptiveSlot = { allowed: false, release() {}, [Symbol.dispose]() {} }
