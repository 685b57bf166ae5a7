import type { Cluster, Redis } from 'ioredis'
import { describe, expectTypeOf, it } from 'vitest'
import { expressRateLimit } from '../../src/express.ts'
import { createRateLimiter, type Decision, gcra, type RedisClient } from '../../src/index.ts'

describe('createRateLimiter', () => {
  const limiter = createRateLimiter({
    policies: { burst: gcra({ limit: 1, per: '1s' }), daily: gcra({ limit: 1, per: '1d' }) },
  })

  it('knows the names of its policies', () => {
    expectTypeOf(limiter.check('a')).resolves.toEqualTypeOf<Decision<'burst' | 'daily'>>()
    limiter.check('a', { policies: ['burst'], cost: { daily: 2 }, limits: { burst: { limit: 3 } } })
    // @ts-expect-error there is no policy of that name
    limiter.check('a', { policies: ['hourly'] })
    // @ts-expect-error nor here
    limiter.check('a', { cost: { hourly: 1 } })
    // @ts-expect-error nor here
    limiter.setLimit('a', 'hourly', 5)
    expressRateLimit(limiter, { policies: ['daily'] })
    // @ts-expect-error nor here
    expressRateLimit(limiter, { policies: ['hourly'] })
  })

  it('refuses durations and options that are none', () => {
    // @ts-expect-error a fortnight is no unit
    gcra({ limit: 1, per: '1 fortnight' })
    // @ts-expect-error unknown option
    gcra({ limit: 1, per: '1s', brust: 2 })
  })

  it('takes the clients of ioredis as they are', () => {
    expectTypeOf<Redis>().toExtend<RedisClient>()
    expectTypeOf<Cluster>().toExtend<RedisClient>()
  })
})
