import { channel } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { createRateLimiter, fixedWindow } from '../../src/index.ts'

const gone = async () => {
  throw new Error('gone')
}

describe('a limiter reports', () => {
  it('each decision to telemetry, with labels of a bounded set, and each denial to its listeners', async () => {
    const told: unknown[] = []
    const hear = (message: unknown) => told.push(message)
    channel('cays:ratelimit:decision').subscribe(hear)
    await using limiter = createRateLimiter({
      name: 'mine',
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
    })
    const denials: string[] = []
    const listener = limiter.on('denied', ({ subject, decision }) => {
      denials.push(`${subject} by ${decision.limitedBy}`)
    })
    await limiter.check('user:1')
    await limiter.check('user:1')
    await limiter.block('user:2', '1m')
    await limiter.check('user:2')
    listener[Symbol.dispose]()
    await limiter.check('user:1')
    channel('cays:ratelimit:decision').unsubscribe(hear)
    const attributes = (outcome: string, reason: string, policy: string) => ({
      instance: 'mine',
      attributes: { outcome, source: 'memory', reason, policy },
    })
    expect(told).toEqual([
      attributes('allowed', 'none', 'none'),
      attributes('denied', 'limit', 'api'),
      attributes('denied', 'blocked', 'api'),
      attributes('denied', 'limit', 'api'),
    ])
    expect(denials).toEqual(['user:1 by api', 'user:2 by api'])
  })

  it('each call that Redis fails, without what was asked', async () => {
    const told: unknown[] = []
    const hear = (message: unknown) => told.push(message)
    channel('cays:ratelimit:failure').subscribe(hear)
    const redis = { status: 'ready', evalsha: gone, eval: gone, evalshaBuffer: gone, evalBuffer: gone }
    await using limiter = createRateLimiter({
      redis,
      policies: { api: fixedWindow({ limit: 1, per: '1h' }) },
    })
    const errors: string[] = []
    limiter.on('error', ({ code, message }) => errors.push(`${code}: ${message}`))
    await limiter.check('secret-subject')
    channel('cays:ratelimit:failure').unsubscribe(hear)
    expect(told).toEqual([{ instance: 'ratelimit', attributes: { 'error.type': 'LIMIT_ERR_UNAVAILABLE' } }])
    expect(errors).toEqual(['LIMIT_ERR_UNAVAILABLE: Redis could not decide'])
  })
})
