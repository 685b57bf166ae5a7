import { redisDecisions } from './redis-decisions.ts'

export const benchmark = redisDecisions(
  512,
  [
    {
      figure: 'GCRA decisions/s beside a fixed window, 512 in flight',
      must: { advantage: 5 },
      against: 'rate-limiter-flexible',
      by: 'time',
    },
    { figure: 'client CPU per decision, 512 in flight', must: { cost: 2 } },
  ],
  31,
)
