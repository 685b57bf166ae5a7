import { randomUUID } from 'node:crypto'
import { raceAbort } from '@cays/core/abort'
import { type Duration, parseDuration } from '@cays/core/duration'
import { Events, type Listener } from '@cays/core/events'
import { Lifecycle } from '@cays/core/lifecycle'
import { pointChannel } from '@cays/core/tracing'
import { type Decision, decisionOf } from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import { LimitConfigError, LimitError } from './errors.ts'
import { Fallback } from './fallback.ts'
import { MemoryStore } from './memory-store.ts'
import { type Offender, Offenders } from './offenders.ts'
import { MODE, type Mode, type Outcome, type Shape } from './operation.ts'
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
import { Nodes } from './redis-nodes.ts'
import { type Receiver, RedisStore } from './redis-store.ts'
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

const DECISIONS = pointChannel('cays:ratelimit:decision', 'event', 'A check was decided.')
const FAILURES = pointChannel('cays:ratelimit:failure', 'event', 'A call to Redis failed.')

/** What an operation came to, and who keeps its charge. */
interface Verdict {
  readonly decision: Decision
  readonly shape: Shape
  readonly outcome: Outcome | undefined
}

/** Turns what Redis found, or why it did not, into the decision a caller of `check` sees. */
type Judge = (subject: string, shape: Shape, form: string, found: Outcome | LimitError) => Decision

class Check implements Receiver {
  readonly #judge: Judge
  readonly #subject: string
  readonly #shape: Shape
  readonly #form: string
  readonly #resolve: (decision: Decision) => void

  constructor(
    judge: Judge,
    subject: string,
    shape: Shape,
    form: string,
    resolve: (decision: Decision) => void,
  ) {
    this.#judge = judge
    this.#subject = subject
    this.#shape = shape
    this.#form = form
    this.#resolve = resolve
  }

  settle(outcome: Outcome): void {
    this.#resolve(this.#judge(this.#subject, this.#shape, this.#form, outcome))
  }

  fail(error: LimitError): void {
    this.#resolve(this.#judge(this.#subject, this.#shape, this.#form, error))
  }
}

class Limiter implements RateLimiter {
  readonly #options: ResolvedOptions
  readonly #time: Time
  readonly #offenders: Offenders | undefined
  readonly #shapes: Shapes
  readonly #memory: MemoryStore
  readonly #redis: RedisStore | undefined
  readonly #nodes: Nodes | undefined
  readonly #fallback: Fallback
  readonly #denials: DenyCache
  readonly #events = new Events<LimiterEvents>()
  readonly #lifecycle: Lifecycle
  #lastError: LimitError | undefined
  readonly #judge: Judge = (subject, shape, form, found) => {
    if (found instanceof Error) return this.#judged(subject, this.#fallenBack(shape, form, found).decision)
    if (!found.granted) this.#denials.remember(form, shape, found)
    return this.#judged(subject, decisionOf(shape, found, 'redis'))
  }

  constructor(options: ResolvedOptions, time: Time) {
    this.#options = options
    this.#time = time
    if (options.topOffenders > 0) this.#offenders = new Offenders(options.topOffenders)
    const { redis: client, prefix, partitions, timeout, policies, onError } = options
    this.#shapes = new Shapes(policies)
    this.#memory = new MemoryStore({ max: options.maxSubjects, now: time.now })
    this.#denials = new DenyCache(options.denyCache)
    this.#lifecycle = new Lifecycle({
      closed: () => new LimitError('LIMIT_ERR_CLOSED', 'the rate limiter is closed'),
    })
    if (client) {
      const redis = new RedisStore({
        client,
        prefix,
        partitions,
        timeout,
        onFailure: (error) => this.#failed(error),
      })
      this.#redis = redis
      const local = Object.values(policies).some((policy) => (policy.onError ?? onError) === 'local')
      if (local) {
        const nodes = new Nodes({
          client,
          key: `${prefix}:nodes`,
          id: randomUUID(),
          interval: options.heartbeat,
          timeout: Math.max(timeout, 250),
        })
        this.#nodes = nodes
        this.#lifecycle.onClose(() => nodes.stop())
      }
      this.#lifecycle.onClose(() => redis.close())
    }
    this.#fallback = new Fallback({ onError, store: this.#memory, nodes: () => this.#nodes?.count ?? 1 })
  }

  check(subject: string, options?: CheckOptions): Promise<Decision> {
    try {
      this.#lifecycle.assertOpen()
      const form = subjectForm(subject)
      const shape = this.#shapes.of(MODE.check, options)
      const signal = options?.signal
      const redis = this.#redis
      if (!redis) return Promise.resolve(this.#judged(subject, this.#inMemory(shape, form)))
      if (signal?.aborted) throw signal.reason
      const cached = this.#denials.size > 0 ? this.#denials.find(form, shape) : undefined
      if (cached) return Promise.resolve(this.#judged(subject, decisionOf(shape, cached, 'cache')))
      this.#nodes?.start()
      const unavailable = redis.unavailable(form)
      if (unavailable) {
        const { decision } = this.#fallenBack(shape, form, unavailable)
        return Promise.resolve(this.#judged(subject, decision))
      }
      const verdict = new Promise<Decision>((resolve) => {
        redis.submit(shape, form, new Check(this.#judge, subject, shape, form, resolve))
      })
      return signal ? raceAbort(verdict, signal) : verdict
    } catch (error) {
      return Promise.reject(error)
    }
  }

  checkMany(requests: readonly ({ readonly subject: string } & CheckOptions)[]): Promise<Decision[]> {
    return Promise.all(requests.map((request) => this.check(request.subject, request)))
  }

  async peek(subject: string, options?: CheckOptions): Promise<Decision> {
    const { decision } = await this.#ask(MODE.peek, subject, options)
    return decision
  }

  async reserve(subject: string, options: ReserveOptions = {}): Promise<Reservation> {
    const expires = lengthOf('expires', options.expires ?? '5m')
    const verdict = await this.#ask(MODE.check, subject, options)
    this.#judged(subject, verdict.decision)
    return reservationOf(verdict.decision, {
      shapes: this.#shapes,
      shape: verdict.shape,
      outcome: verdict.outcome,
      run: (shape) => this.#settle(shape, subject, verdict.decision),
      expire: (release) => this.#time.later(expires, release),
    })
  }

  async acquire(subject: string, options: AcquireOptions = {}): Promise<Decision> {
    const { signal } = options
    for (const name of options.policies ?? this.#shapes.names) {
      if (this.#options.policies[name]?.[INTERNALS].kernel.paced === false) {
        throw new LimitConfigError(
          'LIMIT_ERR_NOT_PACED',
          'acquire needs gcra, tokenBucket, fixedWindow or quota policies: name them with `policies`',
        )
      }
    }
    const argument = lengthOf('maxWait', options.maxWait ?? '30s') * 1_000
    const verdict = await this.#ask(MODE.check, subject, options, argument)
    const { decision, shape, outcome } = verdict
    this.#judged(subject, decision)
    if (!decision.allowed || !outcome || outcome.wait === 0) return decision
    const until = AbortSignal.any(signal ? [signal, this.#lifecycle.signal] : [this.#lifecycle.signal])
    try {
      await this.#time.wait(Math.ceil(outcome.wait / 1_000), until)
    } catch {
      await this.#settle(giveBack(shape, outcome), subject, decision).catch(() => {})
      if (signal?.aborted) throw signal.reason
      throw new LimitError('LIMIT_ERR_ABANDONED', 'the limiter was closed before the slot began')
    }
    return decision
  }

  refund(subject: string, cost: Cost = 1, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, this.#chargeOf(cost, options), MODE.refund, options.signal)
  }

  penalty(subject: string, cost: Cost = 1, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, this.#chargeOf(cost, options), MODE.charge, options.signal)
  }

  async block(subject: string, length: Duration, options: ChangeOptions = {}): Promise<void> {
    const argument = Math.round(lengthOf('the length of a block', length) * 1_000)
    await this.#change(subject, { ...options, cost: 0 }, MODE.block, options.signal, argument)
  }

  reset(subject: string, options: ChangeOptions = {}): Promise<void> {
    return this.#change(subject, { ...options, cost: 0 }, MODE.reset, options.signal)
  }

  async setLimit(
    subject: string,
    policy: string,
    size: PolicySize | undefined,
    options: { readonly expires?: Duration; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const life = Math.round(lengthOf('expires', options.expires ?? '30d') * 1_000)
    await this.#write(this.#shapes.resize(policy, size, life), subject, options.signal)
  }

  on<Event extends keyof LimiterEvents & string>(
    name: Event,
    listener: Listener<LimiterEvents[Event]>,
  ): Disposable {
    return this.#events.on(name, listener)
  }

  offenders(): readonly Offender[] {
    return this.#offenders?.top() ?? []
  }

  health(): LimiterHealth {
    const degraded = this.#redis?.degraded ?? false
    return {
      status: this.#lifecycle.state !== 'open' ? 'closed' : degraded ? 'degraded' : 'ok',
      store: this.#redis ? 'redis' : 'memory',
      nodes: this.#nodes?.count ?? 1,
      lastError: degraded ? this.#lastError?.code : undefined,
    }
  }

  async close(): Promise<void> {
    await this.#lifecycle.close()
    this.#memory.clear()
    this.#denials.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #inMemory(shape: Shape, form: string): Decision {
    return decisionOf(shape, this.#memory.run(shape, form), 'memory')
  }

  /** A decision in any mode; only for wrong arguments, an abort or a closed limiter does it reject. */
  async #ask(mode: Mode, subject: string, options: CheckOptions = {}, argument = 0): Promise<Verdict> {
    this.#lifecycle.assertOpen()
    const form = subjectForm(subject)
    const shape = this.#shapes.of(mode, options, argument)
    options.signal?.throwIfAborted()
    if (!this.#redis) {
      const outcome = this.#memory.run(shape, form)
      return { decision: decisionOf(shape, outcome, 'memory'), shape, outcome }
    }
    return await raceAbort(this.#decide(shape, form), options.signal)
  }

  #decide(shape: Shape, form: string): Promise<Verdict> {
    const redis = this.#redis as RedisStore
    this.#nodes?.start()
    const unavailable = redis.unavailable(form)
    if (unavailable) return Promise.resolve(this.#fallenBack(shape, form, unavailable))
    return redis.run(shape, form).then(
      (outcome) => ({ decision: decisionOf(shape, outcome, 'redis'), shape, outcome }),
      (error: unknown) => this.#fallenBack(shape, form, error as LimitError),
    )
  }

  #fallenBack(shape: Shape, form: string, error: LimitError): Verdict {
    const { decision, shape: share, outcome } = this.#fallback.decide(shape, form, error)
    return { decision, shape: share ?? shape, outcome }
  }

  #chargeOf(cost: Cost, options: ChangeOptions): Charge {
    if (typeof cost === 'number') return { cost, policies: options.policies }
    return { cost, policies: options.policies ?? Object.keys(cost) }
  }

  async #change(
    subject: string,
    charge: Charge,
    mode: Mode,
    signal: AbortSignal | undefined,
    argument = 0,
  ): Promise<void> {
    const { cost, policies } = charge
    await this.#write(this.#shapes.of(mode, { cost, policies }, argument), subject, signal)
  }

  async #write(shape: Shape, subject: string, signal: AbortSignal | undefined): Promise<void> {
    this.#lifecycle.assertOpen()
    const form = subjectForm(subject)
    signal?.throwIfAborted()
    if (!this.#redis) {
      this.#memory.run(shape, form)
      return
    }
    const unavailable = this.#redis.unavailable(form)
    if (unavailable) throw unavailable
    this.#denials.forget(form)
    try {
      await raceAbort(this.#redis.run(shape, form), signal)
    } finally {
      // A denial decided before the change may have arrived while it was under way.
      this.#denials.forget(form)
    }
  }

  /** Charges or gives back where the first charge was made. */
  async #settle(shape: Shape, subject: string, decision: Decision): Promise<void> {
    const form = subjectForm(subject)
    if (shape.slots.length === 0) return
    if (decision.source !== 'redis') {
      this.#memory.run(shape, form)
      return
    }
    this.#denials.forget(form)
    await this.#redis?.run(shape, form)
    this.#denials.forget(form)
  }

  #judged(subject: string, decision: Decision): Decision {
    if (DECISIONS.active) {
      DECISIONS.publish({
        instance: this.#options.name,
        attributes: {
          outcome: decision.allowed ? 'allowed' : 'denied',
          source: decision.source,
          reason: decision.reason ?? 'none',
          policy: decision.limitedBy[0] ?? 'none',
        },
      })
    }
    if (!decision.allowed) {
      this.#offenders?.add(subject)
      if (this.#events.has('denied')) this.#events.emit('denied', { subject, decision })
    }
    return decision
  }

  #failed(error: LimitError): void {
    this.#lastError = error
    if (FAILURES.active) {
      FAILURES.publish({ instance: this.#options.name, attributes: { 'error.type': error.code } })
    }
    this.#events.emit('error', error)
  }
}

function lengthOf(name: string, value: Duration): number {
  const milliseconds = parseDuration(value)
  if (milliseconds === undefined || milliseconds > 366 * 86_400_000) {
    throw badArgument(`${name} must be a duration such as 250, '5s' or '2m', up to 366 days`)
  }
  return milliseconds
}
