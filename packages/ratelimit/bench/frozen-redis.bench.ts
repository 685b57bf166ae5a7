import { createRateLimiter, gcra } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'
import { subjectOf } from './limiter-on-redis.ts'

const TIMEOUT = 50
/** Turns of decisions, all sent before the first is late: the breaker opens after the third. */
const TURNS = 3
const DECISIONS = 50

export const benchmark = defineCase({
  operation: `Redis freezes under ${TURNS} turns of ${DECISIONS} decisions that may take ${TIMEOUT} ms`,
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/ratelimit',
      prepare({ redisUrl }) {
        const redis = new Redis(redisUrl)
        const operator = new Redis(redisUrl)
        // The last ones: one outage alone is too few for a p99.
        const late = new Float64Array(1_500)
        let next = 0
        return {
          async run(count) {
            for (let outage = 0; outage < count; outage++) {
              const limiter = createRateLimiter({
                redis,
                prefix: 'bench',
                timeout: TIMEOUT,
                onError: 'open',
                policies: { api: gcra({ limit: 1_000_000, per: '1s' }) },
              })
              await limiter.check(subjectOf(0))
              await operator.client('PAUSE', 60_000, 'WRITE')
              const decisions: Promise<void>[] = []
              for (let turn = 0; turn < TURNS; turn++) {
                for (let index = 0; index < DECISIONS; index++) {
                  const began = performance.now()
                  const decided = limiter.check(subjectOf(index)).then(({ source }) => {
                    if (source !== 'open') throw new Error('Redis was not frozen')
                    late[next++ % late.length] = performance.now() - began - TIMEOUT
                  })
                  decisions.push(decided)
                }
                await new Promise((resolve) => setTimeout(resolve, 5))
              }
              await Promise.all(decisions)
              await operator.client('UNPAUSE')
              await limiter.close()
            }
            const measured = late.slice(0, next).sort()
            return { late: measured[Math.floor(measured.length * 0.99)] ?? Number.NaN }
          },
          close() {
            redis.disconnect()
            operator.disconnect()
          },
        }
      },
    },
  ],
  claims: [
    {
      figure: 'p99 of a decision without an answer, beyond the timeout',
      must: { most: 5, unit: 'ms' },
      by: 'late',
    },
  ],
  // Enough outages for a p99 of each round's own.
  roundTime: 1_000,
})
