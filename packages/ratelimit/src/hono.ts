import { OptionReader } from '@cays/core/options'
import type { Context, MiddlewareHandler } from 'hono'
import { LimitConfigError } from './errors.ts'
import { HTTP_OPTIONS, HttpLimit, type HttpLimitOptions } from './http-limit.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { settleBy } from './reservation.ts'

export type { HeaderStyle } from './http-fields.ts'
export type { HttpLimitOptions } from './http-limit.ts'
export type { IpKeyOptions } from './ip-key.ts'
export { ipKey } from './ip-key.ts'

/** How the requests of a Hono app are limited. */
export interface HonoRateLimitOptions<Name extends string = string>
  extends Omit<HttpLimitOptions<Context, Name>, 'ipv6'> {
  /** Who is limited. Each runtime tells a client's address its own way (`getConnInfo`), so there is no default. */
  readonly key: (context: Context) => string | Promise<string>
  /** Whether a response counts, asked when it is ready to be sent. What does not count is given back. */
  readonly countWhen?: (response: Response, context: Context) => boolean
}

/**
 * Middleware for Hono 4: denied requests are answered with 429, `Retry-After` and a problem document, all
 * others carry the RateLimit fields. The decision is at `context.get('rateLimit')`.
 */
export function honoRateLimit<Name extends string>(
  limiter: RateLimiter<Name>,
  options: HonoRateLimitOptions<NoInfer<Name>>,
): MiddlewareHandler {
  const reader = new OptionReader(
    'honoRateLimit',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, [...HTTP_OPTIONS.filter((name) => name !== 'ipv6'), 'countWhen'])
  const { countWhen } = options
  const limit = new HttpLimit<Context>(
    reader,
    limiter as unknown as RateLimiter,
    options as HttpLimitOptions<Context>,
    reader.required('key', options.key),
  )
  return async (context, next) => {
    const verdict = await limit.decide(context, countWhen !== undefined)
    if (!verdict) return await next()
    const { decision, fields, denied, reservation } = verdict
    context.set('rateLimit', decision)
    if (denied) {
      const body = denied.body ? JSON.stringify(denied.body) : null
      const type: Record<string, string> = body ? { 'content-type': 'application/problem+json' } : {}
      return new Response(body, { status: denied.status, headers: { ...fields, ...type } })
    }
    try {
      await next()
    } catch (error) {
      // Nobody made a response of it that could be asked about: the request counts.
      if (reservation) settleBy(reservation, () => true)
      throw error
    }
    for (const name in fields) context.header(name, fields[name])
    if (reservation && countWhen) settleBy(reservation, () => countWhen(context.res, context))
    return undefined
  }
}
