import { createRateLimiter, type Policy, type RateLimiterOptions } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { inFlight } from '../../../bench/in-flight.ts'

const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

/** One of a thousand subjects in turn. */
export function subjectOf(index: number): string {
  return subjects[index % subjects.length] ?? ''
}

/** A limiter that never decides without Redis because that is late: it would be measured as if Redis had decided. */
export function limiterOnRedis(
  redisUrl: string,
  policies: Readonly<Record<string, Policy>>,
  options: Partial<RateLimiterOptions> = {},
) {
  const redis = new Redis(redisUrl)
  const limiter = createRateLimiter({
    redis,
    prefix: 'bench',
    onError: 'closed',
    timeout: '10s',
    policies,
    ...options,
  })
  return {
    redis,
    limiter,
    /** Decisions that are allowed, with so many callers that each wait for their answer. */
    decisions: (callers: number) =>
      inFlight(
        callers,
        (index) => limiter.check(subjectOf(index)),
        ({ allowed }) => {
          if (!allowed) throw new Error('a decision was not made by Redis')
        },
      ),
    async close() {
      await limiter.close()
      redis.disconnect()
    },
  }
}
