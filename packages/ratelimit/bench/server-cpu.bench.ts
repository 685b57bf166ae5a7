import { fixedWindow, gcra, type Policy } from '@cays/ratelimit'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { counted } from './counted.ts'
import { limiterOnRedis } from './limiter-on-redis.ts'

function contender(name: string, policy: () => Policy): Contender {
  return {
    name,
    prepare({ redisUrl }) {
      const prefix = name.replaceAll(/\W/g, '')
      const { redis, decisions, close } = limiterOnRedis(redisUrl, { api: policy() }, { prefix })
      return {
        run: counted('CPU of Redis', decisions(512), async () => {
          const info = await redis.info('cpu')
          const seconds = [/used_cpu_user:(\S+)/, /used_cpu_sys:(\S+)/].map((field) => field.exec(info)?.[1])
          return seconds.reduce((sum, part) => sum + Number(part) * 1_000_000, 0)
        }),
        close,
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
