import { createRateLimiter, type Policy } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { inFlight } from '../../../bench/in-flight.ts'

const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

/** One of a thousand subjects in turn. */
export function subjectOf(index: number): string {
  return subjects[index % subjects.length] ?? ''
}

/** A limiter whose decisions are all made by Redis: another one would be measured as one that Redis made. */
export function limiterOnRedis(
  redisUrl: string,
  policies: Readonly<Record<string, Policy>>,
  prefix = 'bench',
) {
  const redis = new Redis(redisUrl)
  const limiter = createRateLimiter({ redis, prefix, onError: 'closed', timeout: '10s', policies })
  return {
    redis,
    /** Decisions that are allowed, with so many callers that each wait for their answer. */
    decisions: (callers: number) =>
      inFlight(callers, async (index) => {
        const { allowed } = await limiter.check(subjectOf(index))
        if (!allowed) throw new Error('a decision was not made by Redis')
      }),
    async close() {
      await limiter.close()
      redis.disconnect()
    },
  }
}
