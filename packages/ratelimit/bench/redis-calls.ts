import { gcra, type Policy } from '@cays/ratelimit'
import { defineCase } from '../../../bench/define-case.ts'
import { counted } from './counted.ts'
import { limiterOnRedis } from './limiter-on-redis.ts'

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
        prepare({ redisUrl }) {
          const { redis, decisions, close } = limiterOnRedis(
            redisUrl,
            policies ?? { api: gcra({ limit: 1_000_000, per: '1s' }) },
          )
          let calls = 0
          const send = redis.sendCommand.bind(redis)
          redis.sendCommand = (...command) => {
            calls++
            return send(...command)
          }
          return { run: counted('calls', decisions(callers), () => calls), close }
        },
      },
    ],
    claims: [{ figure, must: { most, unit: 'calls' }, by: 'calls' }],
  })
}
