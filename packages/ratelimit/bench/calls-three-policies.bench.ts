import { gcra, slidingWindow, tokenBucket } from '@cays/ratelimit'
import { redisCalls } from './redis-calls.ts'

export const benchmark = redisCalls({
  operation: 'an allowed decision of three policies through Redis, 1 in flight',
  figure: 'calls of Redis per decision of three policies',
  callers: 1,
  policies: {
    burst: gcra({ limit: 1_000_000, per: '1s' }),
    hourly: slidingWindow({ limit: 1_000_000_000, per: '1h' }),
    tokens: tokenBucket({ capacity: 1_000_000, per: '1s' }),
  },
  // One; the bound is away from it, as no bound can be judged that lies on the value.
  most: 1.5,
})
