import { createRateLimiter, fixedWindow } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'

export const benchmark = defineCase({
  operation: 'a denial remembered, Redis not asked',
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/ratelimit',
      async prepare({ redisUrl }) {
        const redis = new Redis(redisUrl)
        const limiter = createRateLimiter({
          redis,
          timeout: '10s',
          denyCache: { maxAge: '1h' },
          policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
        })
        await limiter.check('user:1')
        await limiter.check('user:1')
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const { source } = await limiter.check('user:1')
              if (source !== 'cache') throw new Error('a denial was not answered from memory')
            }
          },
          async close() {
            await limiter.close()
            redis.disconnect()
          },
        }
      },
    },
  ],
  claims: [{ figure: 'CPU of a remembered denial', must: { cost: 0.5 } }],
})
