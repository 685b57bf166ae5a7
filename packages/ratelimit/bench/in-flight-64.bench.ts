import { redisDecisions } from './redis-decisions.ts'

export const benchmark = redisDecisions(64, [
  {
    figure: 'GCRA decisions/s beside a fixed window, 64 in flight',
    must: { advantage: 2.5 },
    against: 'rate-limiter-flexible',
    by: 'time',
  },
])
