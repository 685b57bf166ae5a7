import { createRateLimiter, gcra, type RateLimiter, slidingWindow } from '@cays/ratelimit'
import { expressRateLimit, ipKey } from '@cays/ratelimit/express'
import type { Request, RequestHandler } from 'express'
import type { Redis } from 'ioredis'
import { sessionOf } from './auth/authenticate.ts'
import { sendProblem } from './http/problem.ts'
import type { Activity } from './status/activity.ts'

type PolicyName = 'read' | 'write' | 'credentials'

export interface Limits {
  /** For the whole API: reads and writes each have a budget per visitor. */
  readonly api: RequestHandler[]
  /** For signing in and up: what guessing a password costs. */
  readonly credentials: RequestHandler[]
  readonly limiter: RateLimiter<PolicyName>
}

/**
 * What one visitor may do. Signed-in visitors are counted by account, others by address. While Redis is away
 * each node grants its share of the limits, so that an outage neither opens nor closes the door.
 */
export function createLimits(redis: Redis | undefined, activity: Activity): Limits {
  const limiter = createRateLimiter<PolicyName>({
    name: 'harbour',
    prefix: 'harbour:limit',
    ...(redis ? { redis } : {}),
    policies: {
      read: gcra({ limit: 50, per: '1s', burst: 200 }),
      write: gcra({ limit: 5, per: '1s', burst: 40 }),
      credentials: slidingWindow({ limit: 30, per: '5m' }),
    },
    onError: 'local',
  })
  const enforce = (policies: (req: Request) => readonly PolicyName[]): RequestHandler[] => [
    expressRateLimit(limiter, {
      policies,
      key: (req) => {
        const account = sessionOf(req)?.account
        return account ? `account:${account.id}` : ipKey(req.ip)
      },
      onDenied: (_req, res, _next, { retryAfter }) => {
        activity.countDecision(false)
        sendProblem(res, 'too-many-requests', {
          detail: 'You are faster than we can serve everyone. Give it a moment.',
          retryAfter: Math.max(1, Math.ceil(retryAfter / 1_000)),
        })
      },
    }),
    (_req, _res, next) => {
      activity.countDecision(true)
      next()
    },
  ]
  return {
    limiter,
    api: enforce((req) => [req.method === 'GET' || req.method === 'HEAD' ? 'read' : 'write']),
    credentials: enforce(() => ['credentials']),
  }
}
