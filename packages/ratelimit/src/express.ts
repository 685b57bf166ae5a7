import { OptionReader } from '@cays/core/options'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Decision } from './decision.ts'
import { LimitConfigError } from './errors.ts'
import { HTTP_OPTIONS, HttpLimit, type HttpLimitOptions } from './http-limit.ts'
import { ipKey } from './ip-key.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { settleBy } from './reservation.ts'

export type { HeaderStyle } from './http-fields.ts'
export type { HttpLimitOptions } from './http-limit.ts'
export type { IpKeyOptions } from './ip-key.ts'
export { ipKey } from './ip-key.ts'

export interface ExpressRateLimitOptions<Name extends string = string>
  extends HttpLimitOptions<Request, Name> {
  /**
   * Whether a response counts, asked once it is over (or its client is gone: `response.writableFinished` is
   * false then). What does not count is given back. Until then every request in progress counts.
   */
  readonly countWhen?: (response: Response, request: Request) => boolean
  /** Sends the answer to a denied request itself; fields and status are set already. */
  readonly onDenied?: (request: Request, response: Response, next: NextFunction, decision: Decision) => void
  /** Accepts `trust proxy: true`, with which clients choose their own address. @default false */
  readonly trustAnyProxy?: boolean
}

/**
 * Middleware for Express 4 and 5 that answers denied requests with 429, `Retry-After` and a problem document,
 * and tells every client where it stands. The decision is left on `response.locals.rateLimit`.
 *
 * Wrong options throw here; errors of the functions given go to `next(error)`.
 */
export function expressRateLimit<Name extends string>(
  limiter: RateLimiter<Name>,
  options: ExpressRateLimitOptions<NoInfer<Name>> = {},
): RequestHandler {
  const reader = new OptionReader(
    'expressRateLimit',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, [...HTTP_OPTIONS, 'countWhen', 'onDenied', 'trustAnyProxy'])
  const { countWhen, onDenied, trustAnyProxy = false, ipv6 } = options
  ipKey('::', ipv6 === undefined ? {} : { ipv6 })
  const keyOptions = ipv6 === undefined ? {} : { ipv6 }
  let inspected = trustAnyProxy
  let warned = false

  const limit = new HttpLimit<Request>(
    reader,
    limiter as unknown as RateLimiter,
    options as HttpLimitOptions<Request>,
    (request) => {
      if (!inspected) refuseAnyProxy(request)
      inspected = true
      // Not with the first request alone: that is often a balancer's own question whether the app lives.
      if (!warned) warned = warnOfIgnoredProxy(request)
      return ipKey(request.ip, keyOptions)
    },
  )

  return (request, response, next) => {
    limit
      .decide(request, countWhen !== undefined)
      .then((verdict) => {
        if (!verdict) return next()
        const { decision, fields, denied, reservation } = verdict
        response.locals.rateLimit = decision
        // Something else may have answered already, such as a time limit: then there is nothing left to say.
        const answered = response.headersSent
        if (!answered) for (const name in fields) response.setHeader(name, fields[name] as string)
        if (reservation && countWhen) {
          const settle = () => settleBy(reservation, () => countWhen(response, request))
          if (response.closed) settle()
          else response.once('close', settle)
        }
        if (!denied) return next()
        if (answered) return response.end()
        response.status(denied.status)
        if (onDenied) return onDenied(request, response, next, decision)
        if (!denied.body) return response.end()
        response.setHeader('Content-Type', 'application/problem+json')
        response.end(JSON.stringify(denied.body))
      })
      .catch((error: unknown) => next(errorOf(error)))
  }
}

// Express takes undefined for no error, and the words 'route' and 'router' for an order to skip handlers.
function errorOf(thrown: unknown): unknown {
  if (typeof thrown === 'object' && thrown !== null) return thrown
  return new Error('a function given to expressRateLimit threw something that is no error', { cause: thrown })
}

// Any address at any distance is trusted: then the leftmost, written by the client, is taken for its own.
function refuseAnyProxy(request: Request): void {
  const trust: unknown = request.app?.get('trust proxy fn')
  if (typeof trust !== 'function') return
  if (trust('203.0.113.9', 10_000) && trust('2001:db8::9', 10_000)) {
    throw new LimitConfigError(
      'LIMIT_ERR_PROXY',
      "`trust proxy` trusts every proxy: set it to the number or the addresses of yours, e.g. app.set('trust proxy', 1)",
    )
  }
}

function warnOfIgnoredProxy(request: Request): boolean {
  if (request.headers['x-forwarded-for'] === undefined || request.app?.get('trust proxy') !== false)
    return false
  process.emitWarning(
    "a request came with X-Forwarded-For but Express trusts no proxy: behind one, all clients share its address. Set 'trust proxy' to the number of your proxies",
    { type: 'CaysRateLimitWarning', code: 'LIMIT_WARN_PROXY' },
  )
  return true
}
