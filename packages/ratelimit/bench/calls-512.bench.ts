import { redisCalls } from './redis-calls.ts'

export const benchmark = redisCalls({
  operation: 'an allowed decision through Redis, 512 in flight',
  figure: 'calls of Redis per decision, 512 in flight',
  callers: 512,
  most: 0.1,
})
