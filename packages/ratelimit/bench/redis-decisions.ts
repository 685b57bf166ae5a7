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

/** What no batch can do without: its keys told to ioredis, an answer to each caller, and a script that does nothing. */
function bare(callers: number): Contender {
  return {
    name: 'ioredis',
    async prepare({ redisUrl }) {
      const redis = new Redis(redisUrl)
      const sha = String(await redis.script('LOAD', 'return 1'))
      let keys: string[] = []
      let answers: (() => void)[] = []
      const send = async (waiting: readonly (() => void)[], named: readonly string[]) => {
        await redis.evalsha(sha, named.length, ...named)
        for (const answer of waiting) answer()
      }
      const flush = () => {
        for (let at = 0; at < keys.length; at += 256) {
          void send(answers.slice(at, at + 256), keys.slice(at, at + 256))
        }
        keys = []
        answers = []
      }
      return {
        run: inFlight(
          callers,
          (index) =>
            new Promise<void>((resolve) => {
              answers.push(resolve)
              if (keys.push(`bench:{${index % 128}}:${subjectOf(index)}:api:g1000000`) === 1)
                setImmediate(flush)
            }),
        ),
        close: () => redis.disconnect(),
      }
    },
  }
}

/** Decisions of one process through Redis, with a number of callers that each wait for their answer. */
export function redisDecisions(callers: number, claims: readonly Claim[], rounds = 11) {
  return defineCase({
    operation: `an allowed decision through Redis, ${callers} in flight, 1,000 subjects`,
    needs: { redis: true },
    contenders: [ours(callers), flexible(callers), bare(callers)],
    claims,
    rounds,
    roundTime: 300,
  })
}
