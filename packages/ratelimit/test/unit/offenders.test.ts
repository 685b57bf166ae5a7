import { describe, expect, it } from 'vitest'
import { createRateLimiter, fixedWindow } from '../../src/index.ts'
import { Offenders } from '../../src/offenders.ts'
import { seeded } from '../model/scenario.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))

describe('the top offenders', () => {
  it(`are within their error of the truth, and none above 1/k is missing (seed ${seed})`, () => {
    const random = seeded(seed)
    const offenders = new Offenders(20)
    const truth = new Map<string, number>()
    const total = 20_000
    for (let denial = 0; denial < total; denial++) {
      // A few subjects make most of the stream, thousands the rest.
      const subject = `s${Math.floor(1 / (random() + 1e-4))}`
      truth.set(subject, (truth.get(subject) ?? 0) + 1)
      offenders.add(subject)
    }
    const top = offenders.top()
    expect(top).toHaveLength(20)
    for (const { subject, denied, error } of top) {
      const real = truth.get(subject) ?? 0
      expect(denied).toBeGreaterThanOrEqual(real)
      expect(denied - error).toBeLessThanOrEqual(real)
    }
    for (let place = 1; place < top.length; place++) {
      expect(top[place]?.denied).toBeLessThanOrEqual(top[place - 1]?.denied ?? 0)
    }
    const named = new Set(top.map(({ subject }) => subject))
    for (const [subject, count] of truth) if (count > total / 20) expect(named).toContain(subject)
  })

  it('are kept by a limiter that is asked to', async () => {
    await using limiter = createRateLimiter({
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
      topOffenders: 10,
    })
    for (let call = 0; call < 5; call++) await limiter.check('bad')
    for (let call = 0; call < 2; call++) await limiter.check('careless')
    await limiter.check('good')
    expect(limiter.offenders()).toEqual([
      { subject: 'bad', denied: 4, error: 0 },
      { subject: 'careless', denied: 1, error: 0 },
    ])
    // Whatever clients send for a key, little is kept of it.
    for (let call = 0; call < 7; call++) await limiter.check('k'.repeat(1_000_000))
    expect(limiter.offenders()[0]).toMatchObject({ subject: expect.stringMatching(/^#.{43}$/), denied: 6 })
  })
})
