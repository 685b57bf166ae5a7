import { createRateLimiter, fixedWindow, gcra, type Policy } from '@cays/ratelimit'
import { Redis } from 'ioredis'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { inFlight } from '../../../bench/in-flight.ts'
import { counted } from './counted.ts'

const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

function contender(name: string, policy: () => Policy): Contender {
  return {
    name,
    async prepare({ redisUrl }) {
      const redis = new Redis(redisUrl)
      const limiter = createRateLimiter({
        redis,
        prefix: name.replaceAll(/\W/g, ''),
        onError: 'closed',
        timeout: '10s',
        policies: { api: policy() },
      })
      const decide = inFlight(512, async (index) => {
        const { allowed } = await limiter.check(subjects[index % 1_000] ?? '')
        if (!allowed) throw new Error('a decision was not made by Redis')
      })
      return {
        run: counted('CPU of Redis', decide, async () => {
          const info = await redis.info('cpu')
          const seconds = [/used_cpu_user:(\S+)/, /used_cpu_sys:(\S+)/].map((field) => field.exec(info)?.[1])
          return seconds.reduce((sum, part) => sum + Number(part) * 1_000_000, 0)
        }),
        async close() {
          await limiter.close()
          redis.disconnect()
        },
      }
    },
  }
}

export const benchmark = defineCase({
  operation: 'an allowed decision through Redis, 512 in flight, by CPU of the server',
  needs: { redis: true },
  contenders: [
    contender('@cays/ratelimit', () => gcra({ limit: 1_000_000, per: '1s' })),
    contender('its fixedWindow', () => fixedWindow({ limit: 1_000_000_000, per: '1s' })),
  ],
  claims: [
    {
      figure: 'GCRA beside a fixed window, CPU of Redis',
      must: { ratio: 1.1 },
      against: 'its fixedWindow',
      by: 'CPU of Redis',
    },
  ],
  rounds: 31,
})
