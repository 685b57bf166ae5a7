import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { messageLimiter } from '../../src/index.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('messageLimiter', () => {
  it('admits the burst, then the rate', () => {
    const limiter = messageLimiter({ limit: 10, per: '1s', burst: 3 })
    const flood = () => Array.from({ length: 5 }, () => limiter.take()).filter(Boolean).length
    expect(flood()).toBe(3)
    vi.advanceTimersByTime(99)
    expect(flood()).toBe(0)
    vi.advanceTimersByTime(1)
    expect(flood()).toBe(1)
    vi.advanceTimersByTime(60_000)
    expect(flood()).toBe(3)
  })

  it('takes several units or none of them', () => {
    const limiter = messageLimiter({ limit: 10, per: '1s' })
    expect(limiter.take(11)).toBe(false)
    expect(limiter.take(6)).toBe(true)
    expect(limiter.take(6)).toBe(false)
    expect(limiter.take(4)).toBe(true)
  })

  it('refuses amounts that are none, and options it does not know', () => {
    const limiter = messageLimiter({ limit: 10, per: '1s' })
    expect(limiter.take(-5)).toBe(false)
    for (const amount of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      null,
      '1',
      1n,
      {},
    ]) {
      expect(limiter.take(amount as never)).toBe(false)
    }
    expect(limiter.take(10)).toBe(true)
    expect(() => messageLimiter({ limit: 1, per: '1s', max: 2 } as never)).toThrow(/unknown option "max"/)
  })
})
