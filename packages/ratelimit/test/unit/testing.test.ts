import { describe, expect, it } from 'vitest'
import { fixedWindow, gcra, quota, tokenBucket } from '../../src/index.ts'
import { createTestLimiter, fakeClock } from '../../src/testing.ts'

describe('a limiter for tests', () => {
  it('lives on its clock alone', async () => {
    const clock = fakeClock('2026-03-29T00:30:00Z')
    await using limiter = createTestLimiter({
      clock,
      policies: {
        burst: gcra({ limit: 10, per: '1s', burst: 1 }),
        daily: quota({ limit: 100, period: 'day', timeZone: 'Europe/Berlin' }),
      },
    })
    const first = await limiter.check('a')
    // The day in Berlin has 23 hours and began 90 minutes ago.
    expect(first.policies.daily?.resetAfter).toBe(21.5 * 3_600_000)
    expect((await limiter.check('a')).retryAfter).toBe(100)
    await clock.advance(99)
    expect((await limiter.check('a')).retryAfter).toBe(1)
    await clock.advance(1)
    expect((await limiter.check('a')).allowed).toBe(true)
    expect(clock.now).toEqual(new Date('2026-03-29T00:30:00.100Z'))
  })

  it('lets waiters go in their order, and reservations expire', async () => {
    const clock = fakeClock()
    await using limiter = createTestLimiter({
      clock,
      policies: { tokens: tokenBucket({ capacity: 1, per: '1s' }) },
    })
    const turns: string[] = []
    const wait = (name: string) =>
      limiter.acquire('a').then(() => turns.push(`${name} ${clock.now.getTime() % 10_000}`))
    const all = Promise.all([wait('first'), wait('second'), wait('third')])
    await clock.advance('5s')
    await all
    expect(turns).toEqual(['first 0', 'second 1000', 'third 2000'])
    await limiter.reserve('b', { expires: '10m' })
    await clock.advance(500)
    expect((await limiter.check('b')).allowed).toBe(false)
    await limiter.penalty('b', 5)
    await clock.advance('10m')
    expect((await limiter.check('b')).allowed).toBe(true)
  })

  it('need their clock', () => {
    const policies = { api: fixedWindow({ limit: 1, per: '1m' }) }
    expect(() => createTestLimiter({ policies } as never)).toThrow(/made by fakeClock/)
  })
})
