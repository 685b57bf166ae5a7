import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fetchRateLimit } from '../../src/fetch.ts'
import { createRateLimiter, gcra } from '../../src/index.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('fetchRateLimit', () => {
  it('adds the fields to responses that cannot be changed, and answers denials itself', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1m' }) } })
    let handled = 0
    const handler = fetchRateLimit(
      limiter,
      { key: (request) => request.headers.get('x-user') ?? 'nobody' },
      () => {
        handled++
        return Response.redirect('https://example.com/', 302)
      },
    )
    const request = () => new Request('https://app.test/', { headers: { 'x-user': '1' } })
    const first = await handler(request())
    expect(first.status).toBe(302)
    expect(first.headers.get('ratelimit')).toMatch(/^"api";r=0;t=60;pk=/)
    const second = await handler(request())
    expect(second.status).toBe(429)
    expect(second.headers.get('retry-after')).toBe('60')
    expect(second.headers.get('content-type')).toBe('application/problem+json')
    expect(await second.json()).toMatchObject({ 'violated-policies': ['api'] })
    expect(handled).toBe(1)
  })

  it('demands a key', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1m' }) } })
    expect(() => fetchRateLimit(limiter, {} as never, () => new Response())).toThrow(/key is required/)
  })
})
