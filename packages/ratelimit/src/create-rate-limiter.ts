import { raceAbort } from '@cays/core/abort'
import { type Duration, MAX_TIMER, parseDuration } from '@cays/core/duration'
import type { Listener } from '@cays/core/events'
import { Lifecycle } from '@cays/core/lifecycle'
import { Decider, type Verdict } from './decider.ts'
import type { Decision } from './decision.ts'
import { LimitConfigError, LimitError } from './errors.ts'
import type { Offender } from './offenders.ts'
import { MODE, type Mode, type Shape } from './operation.ts'
import { type RateLimiterOptions, type ResolvedOptions, readOptions } from './options.ts'
import { INTERNALS, type PolicySize } from './policy.ts'
import type {
  AcquireOptions,
  ChangeOptions,
  CheckOptions,
  LimiterEvents,
  LimiterHealth,
  RateLimiter,
  ReserveOptions,
} from './rate-limiter.ts'
import { Reports } from './reports.ts'
import { giveBack, type Reservation, reservationOf } from './reservation.ts'
import { assertObject, badArgument, type Charge, type Cost, Shapes } from './shapes.ts'
import { subjectForm } from './subject.ts'
import { platformTime, type Time } from './time.ts'

/**
 * Creates a limiter for the given policies: shared through `redis`, or within this process without it. It
 * opens nothing and sends nothing before the first call.
 *
 * @example
 * ```ts
 * const limiter = createRateLimiter({ redis, policies: { burst: gcra({ limit: 20, per: '1s', burst: 40 }) } })
 * const decision = await limiter.check('user:42')
 * if (!decision.allowed) console.log(`again in ${decision.retryAfter} ms`)
 * ```
 */
export function createRateLimiter<Name extends string>(options: RateLimiterOptions<Name>): RateLimiter<Name> {
  return limiterOn(options, platformTime())
}

/** The same on another clock, for `/testing`. */
export function limiterOn<Name extends string>(
  options: RateLimiterOptions<Name>,
  time: Time,
): RateLimiter<Name> {
  return new Limiter(readOptions(options), time) as unknown as RateLimiter<Name>
}

class Limiter implements RateLimiter {
  readonly #time: Time
  readonly #shapes: Shapes
  readonly #reports: Reports
  readonly #decider: Decider
  // What may still have to be given back: waits for a turn, and answers that nobody waits for any more.
  readonly #unsettled = new Set<Promise<unknown>>()
  readonly #lifecycle = new Lifecycle({
    closed: () =>
      new LimitError('LIMIT_ERR_CLOSED', 'the rate limiter is closed: close it after the last request'),
  })

  constructor(options: ResolvedOptions, time: Time) {
    this.#time = time
    this.#shapes = new Shapes(options.policies)
    this.#reports = new Reports(options.name, options.topOffenders)
    const decider = new Decider(options, time, this.#reports)
    this.#decider = decider
    this.#lifecycle.onClose(async () => {
      await Promise.all(this.#unsettled)
      await decider.close()
    })
  }

  check(subject: string, options?: CheckOptions): Promise<Decision> {
    try {
      this.#lifecycle.assertOpen()
      const form = subjectForm(subject)
      const shape = this.#shapes.of(MODE.check, options)
      const signal = options?.signal
      if (signal === undefined) return this.#decider.check(subject, form, shape)
      signal.throwIfAborted()
      return raceAbort(this.#decider.check(subject, form, shape), signal)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async checkMany(requests: readonly ({ readonly subject: string } & CheckOptions)[]): Promise<Decision[]> {
    this.#lifecycle.assertOpen()
    if (!Array.isArray(requests)) throw badArgument('checkMany needs a list of { subject, … }')
    const wanted = requests.map((request: { readonly subject: string } & CheckOptions) => {
      const shape = this.#shapes.of(MODE.check, request)
      const { subject, signal } = request
      const form = subjectForm(subject)
      signal?.throwIfAborted()
      return { subject, signal, form, shape }
    })
    return await Promise.all(
      wanted.map(({ subject, signal, form, shape }) =>
        raceAbort(this.#decider.check(subject, form, shape), signal),
      ),
    )
  }

  async peek(subject: string, options?: CheckOptions): Promise<Decision> {
    const shape = this.#shapes.of(MODE.peek, options)
    const { decision } = await this.#ask(subject, shape, options?.signal)
    return decision
  }

  async reserve(subject: string, options?: ReserveOptions): Promise<Reservation> {
    const wanted = this.#shapes.of(MODE.check, options)
    const expires = lengthOf('expires', options?.expires ?? '5m', MAX_TIMER)
    const { decision, shape, outcome } = await this.#ask(subject, wanted, options?.signal)
    this.#reports.decided(subject, decision)
    return reservationOf(decision, {
      shapes: this.#shapes,
      shape,
      outcome,
      run: (part) => this.#decider.settle(subjectForm(subject), part, decision),
      expire: (release) => this.#time.later(expires, release),
    })
  }

  async acquire(subject: string, options?: AcquireOptions): Promise<Decision> {
    const patience = lengthOf('maxWait', options?.maxWait ?? '30s', MAX_TIMER) * 1_000
    const shape = this.#shapes.of(MODE.check, options, patience)
    if (shape.slots.some(({ policy }) => !policy[INTERNALS].kernel.paced)) {
      throw new LimitConfigError(
        'LIMIT_ERR_NOT_PACED',
        'acquire needs gcra, tokenBucket, fixedWindow or quota policies: name them with `policies`',
      )
    }
    const verdict = await this.#ask(subject, shape, options?.signal)
    this.#reports.decided(subject, verdict.decision)
    await this.#tracked(this.#turn(subject, verdict, options?.signal))
    return verdict.decision
  }

  async refund(subject: string, cost?: Cost, options?: ChangeOptions): Promise<void> {
    await this.#change(subject, MODE.refund, chargeOf(cost, options), options?.signal)
  }

  async penalty(subject: string, cost?: Cost, options?: ChangeOptions): Promise<void> {
    await this.#change(subject, MODE.charge, chargeOf(cost, options), options?.signal)
  }

  async block(subject: string, length: Duration, options?: ChangeOptions): Promise<void> {
    const argument = Math.round(lengthOf('the length of a block', length) * 1_000)
    await this.#change(subject, MODE.block, chargeOf(0, options), options?.signal, argument)
  }

  async reset(subject: string, options?: ChangeOptions): Promise<void> {
    await this.#change(subject, MODE.reset, chargeOf(0, options), options?.signal)
  }

  async setLimit(
    subject: string,
    policy: string,
    size: PolicySize | undefined,
    options: { readonly expires?: Duration; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.#lifecycle.assertOpen()
    const { signal, expires = '30d' } = options
    const shape = this.#shapes.resize(policy, size, Math.round(lengthOf('expires', expires) * 1_000))
    signal?.throwIfAborted()
    await this.#decider.change(subjectForm(subject), shape, signal)
  }

  on<Event extends keyof LimiterEvents & string>(
    name: Event,
    listener: Listener<LimiterEvents[Event]>,
  ): Disposable {
    return this.#reports.on(name, listener)
  }

  offenders(): readonly Offender[] {
    return this.#reports.offenders
  }

  health(): LimiterHealth {
    const { degraded, store, nodes } = this.#decider
    return {
      status: this.#lifecycle.state !== 'open' ? 'closed' : degraded ? 'degraded' : 'ok',
      store,
      nodes,
      lastError: degraded ? this.#reports.lastError : undefined,
    }
  }

  close(): Promise<void> {
    return this.#lifecycle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A decision in any mode; only for wrong arguments, an abort or a closed limiter does it reject. */
  async #ask(subject: string, shape: Shape, signal: AbortSignal | undefined): Promise<Verdict> {
    this.#lifecycle.assertOpen()
    const form = subjectForm(subject)
    signal?.throwIfAborted()
    const asked = this.#decider.ask(form, shape)
    try {
      return await raceAbort(asked, signal)
    } catch (error) {
      if (shape.mode === MODE.check) void this.#tracked(asked.then((verdict) => this.#leave(form, verdict)))
      throw error
    }
  }

  /** Resolves when the turn that was given out begins; gives it back when the wait ends before. */
  async #turn(subject: string, verdict: Verdict, signal: AbortSignal | undefined): Promise<void> {
    const wait = verdict.decision.allowed ? (verdict.outcome?.wait ?? 0) : 0
    if (wait === 0) return
    const until = AbortSignal.any(signal ? [signal, this.#lifecycle.signal] : [this.#lifecycle.signal])
    try {
      await this.#time.wait(Math.ceil(wait / 1_000), until)
    } catch {
      await this.#leave(subjectForm(subject), verdict)
      if (signal?.aborted) throw signal.reason
      throw new LimitError(
        'LIMIT_ERR_ABANDONED',
        'the limiter was closed before the turn began: close it after the last request',
      )
    }
  }

  /** Gives back what was charged for a caller who left. */
  async #leave(form: string, { decision, shape, outcome }: Verdict): Promise<void> {
    if (!decision.allowed || !outcome) return
    await this.#decider.settle(form, giveBack(shape, outcome), decision).catch(() => {})
  }

  #tracked(work: Promise<void>): Promise<void> {
    const settled = work.catch(() => {}).finally(() => this.#unsettled.delete(settled))
    this.#unsettled.add(settled)
    return work
  }

  async #change(
    subject: string,
    mode: Mode,
    charge: Charge,
    signal: AbortSignal | undefined,
    argument = 0,
  ): Promise<void> {
    this.#lifecycle.assertOpen()
    const form = subjectForm(subject)
    const shape = this.#shapes.of(mode, charge, argument)
    signal?.throwIfAborted()
    await this.#decider.change(form, shape, signal)
  }
}

/** What a change is about: all policies, those named, or those a cost was given for. */
function chargeOf(cost: Cost | undefined, options: ChangeOptions | undefined): Charge {
  if (options !== undefined) assertObject('options', options)
  const named = typeof cost === 'object' && cost !== null ? Object.keys(cost) : undefined
  return { cost, policies: options?.policies ?? named }
}

const DAY = 86_400_000

function lengthOf(name: string, value: Duration, max = 366 * DAY): number {
  const milliseconds = parseDuration(value)
  if (milliseconds === undefined || milliseconds > max) {
    const days = Math.floor(max / DAY)
    throw badArgument(`${name} must be a duration such as 250, '5s' or '2m', up to ${days} days`)
  }
  return milliseconds
}
