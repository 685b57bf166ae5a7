import { OptionReader } from '@cays/core/options'
import type { FastifyReply, FastifyRequest } from 'fastify'
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

/** How the requests of a Fastify app are limited. */
export interface FastifyRateLimitOptions<Name extends string = string>
  extends HttpLimitOptions<FastifyRequest, Name> {
  /** Whether a reply counts, asked once its connection has finished with it. What does not count is given back. */
  readonly countWhen?: (reply: FastifyReply, request: FastifyRequest) => boolean
  /** Sends the answer to a denied request itself; fields and status are set already. The handler does not run. */
  readonly onDenied?: (request: FastifyRequest, reply: FastifyReply, decision: Decision) => unknown
  /** Accepts `trustProxy: true`, with which clients choose their own address. @default false */
  readonly trustAnyProxy?: boolean
}

/** A hook for `onRequest`, `preHandler` and the like. */
export type FastifyRateLimitHook = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/**
 * A Fastify hook (4 and 5), for an app with `app.addHook('onRequest', …)` or for one route with its
 * `onRequest`: denied requests are answered with 429, `Retry-After` and a problem document.
 *
 * Wrong options throw here; errors of the functions given go to Fastify's error handler.
 */
export function fastifyRateLimit<Name extends string>(
  limiter: RateLimiter<Name>,
  options: FastifyRateLimitOptions<NoInfer<Name>> = {},
): FastifyRateLimitHook {
  const reader = new OptionReader(
    'fastifyRateLimit',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, [...HTTP_OPTIONS, 'countWhen', 'onDenied', 'trustAnyProxy'])
  const { countWhen, onDenied, trustAnyProxy = false, ipv6 } = options
  const keyOptions = ipv6 === undefined ? {} : { ipv6 }
  ipKey('::', keyOptions)
  let inspected = trustAnyProxy

  const limit = new HttpLimit<FastifyRequest>(
    reader,
    limiter as unknown as RateLimiter,
    options as HttpLimitOptions<FastifyRequest>,
    (request) => {
      if (!inspected) refuseAnyProxy(request)
      inspected = true
      return ipKey(request.ip, keyOptions)
    },
  )

  return async (request, reply) => {
    const verdict = await limit.decide(request, countWhen !== undefined)
    if (!verdict) return undefined
    const { decision, fields, denied, reservation } = verdict
    if (!reply.sent) reply.headers(fields)
    if (reservation && countWhen) {
      const settle = () => settleBy(reservation, () => countWhen(reply, request))
      if (reply.raw.closed) settle()
      else reply.raw.once('close', settle)
    }
    if (!denied) return undefined
    reply.code(denied.status)
    if (onDenied) {
      await onDenied(request, reply, decision)
      // Whatever it answers: Fastify would go on to the handler while hooks such as `onSend` are at work.
      return reply
    }
    if (!denied.body) return reply.send()
    // Bytes, since Fastify adds a charset to text, which this type does not have.
    return reply.type('application/problem+json').send(Buffer.from(JSON.stringify(denied.body)))
  }
}

// Fastify does not tell what it trusts, but its request answers for any chain of addresses.
function refuseAnyProxy(request: FastifyRequest): void {
  const claimed = '198.51.100.1'
  const chain = [claimed, ...Array.from({ length: 9 }, (_, hop) => `203.0.113.${hop + 1}`)].join(', ')
  const socket = { remoteAddress: '2001:db8::9' }
  const raw = { headers: { 'x-forwarded-for': chain }, socket, connection: socket }
  const probe = Object.create(Object.getPrototypeOf(request), { raw: { value: raw } }) as FastifyRequest
  if (probe.ip !== claimed) return
  throw new LimitConfigError(
    'LIMIT_ERR_PROXY',
    '`trustProxy` trusts every proxy: set it to the number or the addresses of yours, e.g. fastify({ trustProxy: 1 })',
  )
}
