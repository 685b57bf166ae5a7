import { redisDecisions } from './redis-decisions.ts'

export const benchmark = redisDecisions(
  1,
  [
    {
      figure: 'client CPU of a GCRA decision beside a fixed window, 1 in flight',
      must: { advantage: 1.1 },
      against: 'rate-limiter-flexible',
    },
  ],
  31,
)
