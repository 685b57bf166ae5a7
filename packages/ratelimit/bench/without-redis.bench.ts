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
    {
      // What no decision can do without: the clock, the subject's number, and an answer of its own.
      name: 'node alone',
      prepare() {
        const levels = new Map(subjects.map((subject) => [subject, { used: 0, at: 0 }]))
        const check = (subject: string) => {
          const now = performance.now()
          const level = levels.get(subject) ?? { used: 0, at: now }
          level.used = Math.max(0, level.used - (now - level.at) * 1_000) + 1
          level.at = now
          const allowed = level.used <= 1_000_000
          return Promise.resolve({ allowed, policies: { api: { allowed, used: level.used, at: now } } })
        }
        return {
          async run(count) {
            for (let index = 0; index < count; index++) await check(subjects[index % 1_000] ?? '')
          },
        }
      },
    },
  ],
  claims: [{ figure: 'CPU of a decision in memory', must: { cost: 0.333 } }],
})
