import { Events, type Listener } from '@cays/core/events'
import { pointChannel } from '@cays/core/tracing'
import type { Decision } from './decision.ts'
import type { LimitError, LimitErrorCode } from './errors.ts'
import { type Offender, Offenders } from './offenders.ts'
import type { LimiterEvents } from './rate-limiter.ts'
import { subjectForm } from './subject.ts'

const DECISIONS = pointChannel('cays:ratelimit:decision', 'event', 'A check was decided.')
const FAILURES = pointChannel('cays:ratelimit:failure', 'event', 'A call to Redis failed.')

/** What others learn of a limiter's decisions and failures: listeners, telemetry, the list of offenders. */
export class Reports {
  readonly #name: string
  readonly #offenders: Offenders | undefined
  readonly #events = new Events<LimiterEvents>()
  #lastError: LimitError | undefined

  constructor(name: string, topOffenders: number) {
    this.#name = name
    if (topOffenders > 0) this.#offenders = new Offenders(topOffenders)
  }

  /** Answers the decision it is told of. */
  decided(subject: string, decision: Decision): Decision {
    if (DECISIONS.active) {
      DECISIONS.publish({
        instance: this.#name,
        attributes: {
          outcome: decision.allowed ? 'allowed' : 'denied',
          source: decision.source,
          reason: decision.reason ?? 'none',
          policy: decision.limitedBy[0] ?? 'none',
        },
      })
    }
    if (!decision.allowed) {
      this.#offenders?.add(subjectForm(subject))
      if (this.#events.has('denied')) this.#events.emit('denied', { subject, decision })
    }
    return decision
  }

  failed(error: LimitError): void {
    this.#lastError = error
    if (FAILURES.active) {
      FAILURES.publish({ instance: this.#name, attributes: { 'error.type': error.code } })
    }
    this.#events.emit('error', error)
  }

  on<Event extends keyof LimiterEvents & string>(
    name: Event,
    listener: Listener<LimiterEvents[Event]>,
  ): Disposable {
    return this.#events.on(name, listener)
  }

  get offenders(): readonly Offender[] {
    return this.#offenders?.top() ?? []
  }

  get lastError(): LimitErrorCode | undefined {
    return this.#lastError?.code
  }
}
