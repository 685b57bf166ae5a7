import { createHash } from 'node:crypto'
import { createRateLimiter, gcra, type RateLimiter, slidingWindow } from '@cays/ratelimit'
import { expressRateLimit, ipKey } from '@cays/ratelimit/express'
import type { Request, RequestHandler } from 'express'
import type { Redis } from 'ioredis'
import { sessionOf } from './auth/authenticate.ts'
import { HttpProblem, sendProblem } from './http/problem.ts'
import type { Activity } from './status/activity.ts'

type PolicyName = 'read' | 'write' | 'credentials' | 'guesses'

export interface Limits {
  /** For the whole API: reads and writes each have a budget per visitor. */
  readonly api: RequestHandler[]
  /** For signing in and up: what guessing a password costs. */
  readonly credentials: RequestHandler[]
  /** Throws 429 when too many passwords were tried for this address of an account, from anywhere. */
  guess(email: string): Promise<void>
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
      // An office or a school shares one address; one account has one owner.
      credentials: slidingWindow({ limit: 100, per: '10m' }),
      guesses: slidingWindow({ limit: 15, per: '15m' }),
    },
    onError: 'local',
    // A node that is busy hashing passwords is late to read the answer; that is no outage of Redis.
    timeout: 500,
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
    async guess(email) {
      const name = createHash('sha256').update(email).digest('base64url')
      const { allowed, retryAfter } = await limiter.check(`email:${name}`, { policies: ['guesses'] })
      if (allowed) return
      activity.countDecision(false)
      throw new HttpProblem('too-many-requests', {
        detail: 'Too many tries for this account. Wait a while before the next.',
        retryAfter: Math.ceil(retryAfter / 1_000),
      })
    },
    api: enforce((req) => [req.method === 'GET' || req.method === 'HEAD' ? 'read' : 'write']),
    credentials: enforce(() => ['credentials']),
  }
}
