import { expect, it } from 'vitest'
import { TokenBucket } from '../../src/token-bucket.ts'

it('a token bucket takes a burst at once, and then what has come back since', () => {
  const bucket = new TokenBucket({ rate: 10, burst: 5 }, 0)
  const taken = (now: number, asked = 10) =>
    Array.from({ length: asked }, () => bucket.take(1, now)).filter(Boolean).length
  expect(taken(0)).toBe(5)
  expect(taken(99)).toBe(0)
  expect(taken(200)).toBe(2)
  expect(taken(60_000)).toBe(5)
  expect(bucket.take(6, 120_000)).toBe(false)
})
