import { OptionReader } from '@cays/core/options'
import { LimitConfigError } from './errors.ts'
import { HTTP_OPTIONS, HttpLimit, type HttpLimitOptions } from './http-limit.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { settleBy } from './reservation.ts'

export type { HeaderStyle } from './http-fields.ts'
export type { HttpLimitOptions } from './http-limit.ts'
export type { IpKeyOptions } from './ip-key.ts'
export { ipKey } from './ip-key.ts'

/** How a handler of Web requests is limited. */
export interface FetchRateLimitOptions<Name extends string = string>
  extends Omit<HttpLimitOptions<Request, Name>, 'ipv6'> {
  /** Who is limited. A web-standard request does not know its client's address, so there is no default. */
  readonly key: (request: Request) => string | Promise<string>
  /**
   * Whether a response counts, asked when the handler has made it. What does not count is given back. A request
   * whose handler rejects counts.
   */
  readonly countWhen?: (response: Response, request: Request) => boolean
}

/**
 * Wraps a web-standard handler `(request, …) => Response`: denied requests are answered with 429, `Retry-After`
 * and a problem document, all others carry the RateLimit fields. Errors of the functions given reject.
 */
export function fetchRateLimit<Name extends string, Rest extends readonly unknown[]>(
  limiter: RateLimiter<Name>,
  options: FetchRateLimitOptions<NoInfer<Name>>,
  handler: (request: Request, ...rest: Rest) => Response | Promise<Response>,
): (request: Request, ...rest: Rest) => Promise<Response> {
  const reader = new OptionReader(
    'fetchRateLimit',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, [...HTTP_OPTIONS.filter((name) => name !== 'ipv6'), 'countWhen'])
  const { countWhen } = options
  const key = reader.required('key', options.key)
  const limit = new HttpLimit<Request>(
    reader,
    limiter as unknown as RateLimiter,
    options as HttpLimitOptions<Request>,
    key,
  )
  return async (request, ...rest) => {
    const verdict = await limit.decide(request, countWhen !== undefined)
    if (!verdict) return await handler(request, ...rest)
    const { fields, denied, reservation } = verdict
    if (denied) {
      const body = denied.body ? JSON.stringify(denied.body) : null
      const type: Record<string, string> = body ? { 'content-type': 'application/problem+json' } : {}
      return new Response(body, { status: denied.status, headers: { ...fields, ...type } })
    }
    let response: Response
    try {
      response = await handler(request, ...rest)
    } catch (error) {
      // There is no response to ask about: the request counts.
      if (reservation) settleBy(reservation, () => true)
      throw error
    }
    if (reservation && countWhen) settleBy(reservation, () => countWhen(response, request))
    return withFields(response, fields)
  }
}

function withFields(response: Response, fields: Readonly<Record<string, string>>): Response {
  // A change of protocols, or `Response.error()`: neither takes fields nor can be made anew.
  if (response.status < 200) return response
  // A copy: the fields of a response from `fetch` or `Response.redirect` cannot be changed.
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(fields)) headers.set(name, value)
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers })
}
