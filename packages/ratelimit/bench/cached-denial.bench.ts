import { fixedWindow } from '@cays/ratelimit'
import { defineCase } from '../../../bench/define-case.ts'
import { limiterOnRedis } from './limiter-on-redis.ts'

export const benchmark = defineCase({
  operation: 'a denial remembered, Redis not asked',
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/ratelimit',
      async prepare({ redisUrl }) {
        const { limiter, close } = limiterOnRedis(
          redisUrl,
          { api: fixedWindow({ limit: 1, per: '1h' }) },
          { denyCache: { maxAge: '1h' } },
        )
        await limiter.check('user:1')
        await limiter.check('user:1')
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const { source } = await limiter.check('user:1')
              if (source !== 'cache') throw new Error('a denial was not answered from memory')
            }
          },
          close,
        }
      },
    },
  ],
  claims: [{ figure: 'CPU of a remembered denial', must: { cost: 0.5 } }],
})
