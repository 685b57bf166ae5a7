import { gcra } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import type { Claim, Contender } from '../../../bench/define-case.ts'
import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'
import { peer } from '../../../bench/peer.ts'
import { limiterOnRedis, subjectOf } from './limiter-on-redis.ts'

interface FlexibleModule {
  readonly RateLimiterRedis: new (options: {
    storeClient: Redis
    points: number
    duration: number
  }) => { consume(key: string): Promise<{ readonly remainingPoints: number }> }
}

function ours(callers: number): Contender {
  return {
    name: '@cays/ratelimit',
    prepare({ redisUrl }) {
      const { decisions, close } = limiterOnRedis(redisUrl, { api: gcra({ limit: 1_000_000, per: '1s' }) })
      return { run: decisions(callers), close }
    },
  }
}

function flexible(callers: number): Contender {
  return {
    name: 'rate-limiter-flexible',
    async prepare({ redisUrl }) {
      const { RateLimiterRedis } = await peer<FlexibleModule>('rate-limiter-flexible')
      const redis = new Redis(redisUrl)
      const limiter = new RateLimiterRedis({ storeClient: redis, points: 1_000_000_000, duration: 3_600 })
      return {
        run: inFlight(callers, (index) => limiter.consume(subjectOf(index))),
        close: () => redis.disconnect(),
      }
    },
  }
}

/** Decisions of one process through Redis, with a number of callers that each wait for their answer. */
export function redisDecisions(callers: number, claims: readonly Claim[]) {
  return defineCase({
    operation: `an allowed decision through Redis, ${callers} in flight, 1,000 subjects`,
    needs: { redis: true },
    contenders: [ours(callers), flexible(callers)],
    claims,
    roundTime: 300,
  })
}
