import { createRateLimiter, gcra, type Policy } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'
import { counted } from './counted.ts'

const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

export interface CallsCase {
  readonly operation: string
  readonly figure: string
  readonly callers: number
  readonly policies?: Readonly<Record<string, Policy>>
  /** Script calls per decision, at most. */
  readonly most: number
}

/** How many calls of Redis one decision takes. */
export function redisCalls({ operation, figure, callers, policies, most }: CallsCase) {
  return defineCase({
    operation,
    needs: { redis: true },
    contenders: [
      {
        name: '@cays/ratelimit',
        async prepare({ redisUrl }) {
          const redis = new Redis(redisUrl)
          const limiter = createRateLimiter({
            redis,
            onError: 'closed',
            timeout: '10s',
            policies: policies ?? { api: gcra({ limit: 1_000_000, per: '1s' }) },
          })
          let calls = 0
          const evalsha = redis.evalsha.bind(redis) as (...call: unknown[]) => Promise<unknown>
          redis.evalsha = ((...call: unknown[]) => {
            calls++
            return evalsha(...call)
          }) as typeof redis.evalsha
          return {
            run: counted(
              'calls',
              inFlight(callers, async (index) => {
                const { allowed } = await limiter.check(subjects[index % 1_000] ?? '')
                if (!allowed) throw new Error('a decision was not made by Redis')
              }),
              () => calls,
            ),
            async close() {
              await limiter.close()
              redis.disconnect()
            },
          }
        },
      },
    ],
    claims: [{ figure, must: { most, unit: 'calls' }, by: 'calls' }],
  })
}
