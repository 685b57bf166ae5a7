import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fetchRateLimit } from '../../src/fetch.ts'
import { createRateLimiter, fixedWindow, gcra, type RedisClient } from '../../src/index.ts'

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

  it.each([
    { title: 'too much', reason: 'limit', status: 429, type: 'quota-exceeded', after: '30' },
    { title: 'more than ever fits', reason: 'never', status: 429, type: 'quota-exceeded', after: null },
    { title: 'a block', reason: 'blocked', status: 429, type: 'abnormal-usage-detected', after: '90' },
    {
      title: 'a limiter that cannot count',
      reason: 'unavailable',
      status: 503,
      type: 'temporary-reduced-capacity',
      after: '1',
    },
  ])('answers $title with $status, $type and Retry-After $after', async ({ reason, status, type, after }) => {
    const gone = async () => {
      throw new Error('gone')
    }
    const redis = { status: 'end', evalsha: gone, eval: gone, evalshaBuffer: gone, evalBuffer: gone }
    await using limiter = createRateLimiter({
      policies: {
        api: gcra({ limit: 2, per: '1m', onError: 'closed' }),
        spare: gcra({ limit: 9, per: '1m' }),
      },
      ...(reason === 'unavailable' ? { redis: redis satisfies RedisClient } : {}),
    })
    const cost = reason === 'never' ? { api: 3 } : 1
    const handler = fetchRateLimit(limiter, { key: () => 'one', cost }, () => new Response('ok'))
    if (reason === 'blocked') await limiter.block('one', '90s', { policies: ['api'] })
    if (reason === 'limit')
      for (let call = 0; call < 2; call++) await handler(new Request('https://app.test'))
    const denied = await handler(new Request('https://app.test'))
    expect([denied.status, denied.headers.get('retry-after')]).toEqual([status, after])
    expect(denied.headers.get('content-type')).toBe('application/problem+json')
    expect(await denied.json()).toEqual({
      type: `https://iana.org/assignments/http-problem-types#${type}`,
      title: expect.any(String),
      status,
      detail: expect.any(String),
      'violated-policies': ['api'],
    })
  })

  it.each([
    { headers: 'ietf', names: ['ratelimit', 'ratelimit-policy'] },
    { headers: 'legacy', names: ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'] },
    {
      headers: 'both',
      names: [
        'ratelimit',
        'ratelimit-policy',
        'x-ratelimit-limit',
        'x-ratelimit-remaining',
        'x-ratelimit-reset',
      ],
    },
    { headers: 'none', names: [] },
  ] as const)('sends $headers fields as asked, and no body without `problem`', async ({ headers, names }) => {
    vi.setSystemTime('2026-03-10T12:00:00.250Z')
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 1, per: '1m' }) } })
    const handler = fetchRateLimit(
      limiter,
      { key: () => 'one', headers, problem: false },
      () => new Response(),
    )
    await handler(new Request('https://app.test'))
    const denied = await handler(new Request('https://app.test'))
    expect([...denied.headers.keys()]).toEqual([...names, 'retry-after'].sort())
    expect([denied.status, await denied.text()]).toEqual([429, ''])
    const reset = denied.headers.get('x-ratelimit-reset')
    // In seconds since 1970, rounded up.
    if (reset !== null) expect(Number(reset)).toBe(Date.parse('2026-03-10T12:01:01Z') / 1_000)
  })

  it('counts only the responses asked for', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 1, per: '1m' }) } })
    const handler = fetchRateLimit(
      limiter,
      { key: () => 'one', countWhen: (response, request) => !response.ok && request.method === 'POST' },
      (request) => new Response(null, { status: request.url.endsWith('/bad') ? 401 : 204 }),
    )
    const post = async (path: string) => {
      const { status } = await handler(new Request(`https://app.test${path}`, { method: 'POST' }))
      await vi.advanceTimersByTimeAsync(0)
      return status
    }
    const statuses = []
    for (const path of ['/ok', '/ok', '/bad', '/ok']) statuses.push(await post(path))
    expect(statuses).toEqual([204, 204, 401, 429])
  })

  it('counts a request whose handler rejects', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 5, per: '1d' }) } })
    const handler = fetchRateLimit(limiter, { key: () => 'one', countWhen: () => false }, () => {
      throw new Error('no answer')
    })
    await expect(handler(new Request('https://app.test'))).rejects.toThrow('no answer')
    // Nothing is left open that would be given back later.
    await vi.advanceTimersByTimeAsync(7_200_000)
    expect((await limiter.peek('one')).policies.api?.remaining).toBe(4)
  })

  it('sizes limits by request, and lets pass what is skipped or in shadow mode', async () => {
    await using limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 1, per: '1m' }) } })
    const common = {
      key: () => 'one',
      limits: (request: Request) =>
        request.url.endsWith('/big') ? { api: 3 } : (undefined as { api?: number } | undefined),
      skip: (request: Request) => request.url.endsWith('/health'),
    }
    const enforced = fetchRateLimit(limiter, common, () => new Response())
    const shadow = fetchRateLimit(limiter, { ...common, mode: 'shadow' }, () => new Response())
    const get = (path: string) => new Request(`https://app.test${path}`)
    expect((await enforced(get('/'))).status).toBe(200)
    expect((await enforced(get('/'))).status).toBe(429)
    expect((await enforced(get('/big'))).headers.get('ratelimit')).toMatch(/^"api";r=1;/)
    expect([...(await enforced(get('/health'))).headers.keys()]).toEqual([])
    const reported = await shadow(get('/'))
    // Two units are in use where this request has one: the window's end brings both back.
    expect([reported.status, reported.headers.get('retry-after')]).toEqual([200, '60'])
  })

  it('takes any subject, and hands on a response that can carry no fields', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 9, per: '1m' }) } })
    const handler = fetchRateLimit(
      limiter,
      { key: (request) => decodeURIComponent(new URL(request.url).search) },
      () => new Response('ok'),
    )
    for (const subject of ['a\r\nset-cookie: a=b', '"\\;,:', '\u0000', '\u{1f511}', 'k'.repeat(100_000)]) {
      const response = await handler(new Request(`https://app.test?${encodeURIComponent(subject)}`))
      expect(response.headers.get('ratelimit')).toMatch(/^"api";r=8;t=7;pk=:[A-Za-z0-9+/]{12}:$/)
      expect(response.headers.get('set-cookie')).toBeNull()
    }
    const failing = fetchRateLimit(limiter, { key: () => 'one' }, () => Response.error())
    expect((await failing(new Request('https://app.test'))).type).toBe('error')
  })

  it('demands a key', async () => {
    await using limiter = createRateLimiter({ policies: { api: gcra({ limit: 1, per: '1m' }) } })
    expect(() => fetchRateLimit(limiter, {} as never, () => new Response())).toThrow(/key is required/)
  })
})
