import { createRateLimiter, gcra } from '@cays/ratelimit'
import { defineCase } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'

interface FlexibleModule {
  readonly RateLimiterMemory: new (options: {
    points: number
    duration: number
  }) => { consume(key: string): Promise<unknown> }
}

const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

export const benchmark = defineCase({
  operation: 'an allowed decision in memory, 1,000 subjects',
  contenders: [
    {
      name: '@cays/ratelimit',
      prepare() {
        const limiter = createRateLimiter({ policies: { api: gcra({ limit: 1_000_000, per: '1s' }) } })
        return {
          async run(count) {
            for (let index = 0; index < count; index++) await limiter.check(subjects[index % 1_000] ?? '')
          },
          close: () => limiter.close(),
        }
      },
    },
    {
      name: 'rate-limiter-flexible',
      async prepare() {
        const { RateLimiterMemory } = await peer<FlexibleModule>('rate-limiter-flexible')
        const limiter = new RateLimiterMemory({ points: 1_000_000_000, duration: 3_600 })
        return {
          async run(count) {
            for (let index = 0; index < count; index++) await limiter.consume(subjects[index % 1_000] ?? '')
          },
        }
      },
    },
  ],
  claims: [{ figure: 'CPU of a decision in memory', must: { cost: 0.333 } }],
})
