import { raceAbort } from '@cays/core/abort'
import { type Duration, MAX_TIMER, parseDuration } from '@cays/core/duration'
import type { Listener } from '@cays/core/events'
import { Lifecycle } from '@cays/core/lifecycle'
import { Decider, type Verdict } from './decider.ts'
import type { Decision } from './decision.ts'
import { LimitConfigError, LimitError } from './errors.ts'
import type { Offender } from './offenders.ts'
import { MODE, type Mode } from './operation.ts'
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
import { badArgument, type Charge, type Cost, Shapes } from './shapes.ts'
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
  readonly #policies: ResolvedOptions['policies']
  readonly #time: Time
  readonly #shapes: Shapes
  readonly #reports: Reports
  readonly #decider: Decider
  readonly #lifecycle = new Lifecycle({
    closed: () => new LimitError('LIMIT_ERR_CLOSED', 'the rate limiter is closed'),
  })

  constructor(options: ResolvedOptions, time: Time) {
    this.#policies = options.policies
    this.#time = time
    this.#shapes = new Shapes(options.policies)
    this.#reports = new Reports(options.name, options.topOffenders)
    const decider = new Decider(options, time, this.#reports)
    this.#decider = decider
    this.#lifecycle.onClose(() => decider.close())
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
    const wanted = requests.map((request) => {
      const { subject, signal } = request
      const form = subjectForm(subject)
      const shape = this.#shapes.of(MODE.check, request)
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
    const { decision } = await this.#ask(MODE.peek, subject, options)
    return decision
  }

  async reserve(subject: string, options: ReserveOptions = {}): Promise<Reservation> {
    const expires = lengthOf('expires', options.expires ?? '5m', MAX_TIMER)
    const { decision, shape, outcome } = await this.#ask(MODE.check, subject, options)
    this.#reports.decided(subject, decision)
    return reservationOf(decision, {
      shapes: this.#shapes,
      shape,
      outcome,
      run: (part) => this.#decider.settle(subjectForm(subject), part, decision),
      expire: (release) => this.#time.later(expires, release),
    })
  }

  async acquire(subject: string, options: AcquireOptions = {}): Promise<Decision> {
    const { signal } = options
    for (const name of options.policies ?? this.#shapes.names) {
      if (this.#policies[name]?.[INTERNALS].kernel.paced === false) {
        throw new LimitConfigError(
          'LIMIT_ERR_NOT_PACED',
          'acquire needs gcra, tokenBucket, fixedWindow or quota policies: name them with `policies`',
        )
      }
    }
    const patience = lengthOf('maxWait', options.maxWait ?? '30s', MAX_TIMER) * 1_000
    const { decision, shape, outcome } = await this.#ask(MODE.check, subject, options, patience)
    this.#reports.decided(subject, decision)
    if (!decision.allowed || !outcome || outcome.wait === 0) return decision
    const until = AbortSignal.any(signal ? [signal, this.#lifecycle.signal] : [this.#lifecycle.signal])
    try {
      await this.#time.wait(Math.ceil(outcome.wait / 1_000), until)
    } catch {
      await this.#decider.settle(subjectForm(subject), giveBack(shape, outcome), decision).catch(() => {})
      if (signal?.aborted) throw signal.reason
      throw new LimitError('LIMIT_ERR_ABANDONED', 'the limiter was closed before the slot began')
    }
    return decision
  }

  refund(subject: string, cost: Cost = 1, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, MODE.refund, chargeOf(cost, options), options.signal)
  }

  penalty(subject: string, cost: Cost = 1, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, MODE.charge, chargeOf(cost, options), options.signal)
  }

  async block(subject: string, length: Duration, options: ChangeOptions = {}): Promise<void> {
    const argument = Math.round(lengthOf('the length of a block', length) * 1_000)
    await this.#change(subject, MODE.block, chargeOf(0, options), options.signal, argument)
  }

  reset(subject: string, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, MODE.reset, chargeOf(0, options), options.signal)
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
  async #ask(mode: Mode, subject: string, options: CheckOptions = {}, argument = 0): Promise<Verdict> {
    this.#lifecycle.assertOpen()
    const form = subjectForm(subject)
    const shape = this.#shapes.of(mode, options, argument)
    options.signal?.throwIfAborted()
    return await raceAbort(this.#decider.ask(form, shape), options.signal)
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
function chargeOf(cost: Cost, { policies }: ChangeOptions): Charge {
  return { cost, policies: policies ?? (typeof cost === 'number' ? undefined : Object.keys(cost)) }
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
