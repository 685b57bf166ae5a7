import type { OptionReader } from '@cays/core/options'
import type { Decision } from './decision.ts'
import { type HeaderStyle, limitFields } from './http-fields.ts'
import type { IpKeyOptions } from './ip-key.ts'
import { PartitionKeys } from './partition-keys.ts'
import type { PolicySize } from './policy.ts'
import { type LimitProblem, problemOf } from './problem.ts'
import type { RateLimiter } from './rate-limiter.ts'
import type { Reservation } from './reservation.ts'
import type { Charge, Cost } from './shapes.ts'

type Awaitable<T> = T | Promise<T>

/** Options every HTTP adapter takes; functions receive what the framework calls a request. */
export interface HttpLimitOptions<Incoming, Name extends string = string> {
  /** Who is limited. @default the client's address, see `ipv6` */
  readonly key?: (request: Incoming) => Awaitable<string>
  /** Which policies apply. @default all */
  readonly policies?: readonly Name[] | ((request: Incoming) => Awaitable<readonly Name[]>)
  /** @default 1 */
  readonly cost?: Cost<Name> | ((request: Incoming) => Awaitable<Cost<Name>>)
  /** The plan whose sizes apply. */
  readonly plan?: (request: Incoming) => Awaitable<string | undefined>
  /** Sizes for this request alone. */
  readonly limits?: (request: Incoming) => Awaitable<{ readonly [Policy in Name]?: PolicySize } | undefined>
  /** Requests that are not limited at all. */
  readonly skip?: (request: Incoming) => Awaitable<boolean>
  /** @default 'ietf' */
  readonly headers?: HeaderStyle
  /** A problem document as the body of a denial; false leaves the body empty. @default true */
  readonly problem?: boolean
  /** `'shadow'` sends the fields but lets everything pass. @default 'enforce' */
  readonly mode?: 'enforce' | 'shadow'
  /** Bits of an IPv6 address that count as one client, for the default key. @default 64 */
  readonly ipv6?: IpKeyOptions['ipv6']
}

export const HTTP_OPTIONS = [
  'key',
  'policies',
  'cost',
  'plan',
  'limits',
  'skip',
  'headers',
  'problem',
  'mode',
  'ipv6',
] as const

/** What an adapter has to send: fields always, and a status with a body when the request stops here. */
export interface HttpVerdict {
  readonly decision: Decision
  readonly fields: Readonly<Record<string, string>>
  readonly denied: { readonly status: number; readonly body: LimitProblem | undefined } | undefined
  /** Present when the charge may be taken back after the response. */
  readonly reservation: Reservation | undefined
}

/** The part that all HTTP adapters share: from a request to a verdict. */
export class HttpLimit<Incoming> {
  readonly #limiter: RateLimiter
  readonly #options: HttpLimitOptions<Incoming>
  readonly #defaultKey: (request: Incoming) => Awaitable<string>
  readonly #constant: Charge | undefined
  readonly #partitions = new PartitionKeys()

  constructor(
    reader: OptionReader,
    limiter: RateLimiter,
    options: HttpLimitOptions<Incoming>,
    defaultKey: (request: Incoming) => Awaitable<string>,
  ) {
    reader.function('key', options.key)
    reader.function('plan', options.plan)
    reader.function('limits', options.limits)
    reader.function('skip', options.skip)
    reader.oneOf('headers', options.headers, 'ietf', ['ietf', 'legacy', 'both', 'none'])
    reader.oneOf('mode', options.mode, 'enforce', ['enforce', 'shadow'])
    reader.boolean('problem', options.problem, true)
    if (typeof limiter?.check !== 'function') reader.fail('the first argument must be a rate limiter')
    this.#limiter = limiter
    this.#options = options
    this.#defaultKey = defaultKey
    const { policies, cost, plan, limits } = options
    const varies = typeof policies === 'function' || typeof cost === 'function' || plan || limits
    this.#constant = varies ? undefined : ({ policies, cost } as Charge)
  }

  /** Undefined when the request is skipped. Rejects when a function of the options does. */
  async decide(request: Incoming, reservable: boolean): Promise<HttpVerdict | undefined> {
    const { skip, key = this.#defaultKey, headers = 'ietf', mode, problem = true } = this.#options
    if (skip && (await skip(request))) return undefined
    const subject = await key(request)
    const charge = this.#constant ?? (await this.#chargeOf(request))
    let reservation: Reservation | undefined
    let decision: Decision
    if (reservable) {
      reservation = await this.#limiter.reserve(subject, { ...charge, expires: '1h' })
      decision = reservation.decision
    } else {
      decision = await this.#limiter.check(subject, charge)
    }
    const fields = limitFields(decision, headers, subject, this.#partitions)
    if (decision.allowed || mode === 'shadow') return { decision, fields, denied: undefined, reservation }
    const body = problemOf(decision)
    return {
      decision,
      fields,
      denied: { status: body.status, body: problem ? body : undefined },
      reservation,
    }
  }

  async #chargeOf(request: Incoming): Promise<Charge> {
    const { policies, cost, plan, limits } = this.#options
    return {
      policies: typeof policies === 'function' ? await policies(request) : policies,
      cost: typeof cost === 'function' ? await cost(request) : cost,
      plan: await plan?.(request),
      limits: await limits?.(request),
    }
  }
}
