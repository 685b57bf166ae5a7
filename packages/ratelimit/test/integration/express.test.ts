import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { expressRateLimit } from '../../src/express.ts'
import { createRateLimiter, fixedWindow, gcra } from '../../src/index.ts'

const open: (() => Promise<unknown>)[] = []
// The clock stands still, so that fields tell the same times however slow the machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
})
afterEach(async () => {
  vi.useRealTimers()
  for (const close of open.splice(0)) await close()
})

function serve(app: Express): Promise<string> {
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => {
      open.push(() => new Promise((done) => server.close(done)))
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    })
  })
}

function limiterOf(limit: number) {
  const limiter = createRateLimiter({
    policies: {
      burst: gcra({ limit, per: '1m' }),
      hourly: fixedWindow({ limit: 100, per: '1h', unit: 'calls' }),
    },
  })
  open.push(() => limiter.close())
  return limiter
}

describe('expressRateLimit', () => {
  it('tells where the client stands and answers 429 with a problem document', async () => {
    const app = express()
    app.use(expressRateLimit(limiterOf(2)))
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await serve(app)

    const first = await fetch(url)
    expect(await first.text()).toBe('ok')
    expect(first.headers.get('ratelimit-policy')).toBe('"burst";q=2;w=60, "hourly";q=100;w=3600;qu="calls"')
    expect(first.headers.get('ratelimit')).toMatch(
      /^"burst";r=1;t=30;pk=:[A-Za-z0-9+/=]+:, "hourly";r=99;t=3600;pk=:[A-Za-z0-9+/=]+:$/,
    )
    await fetch(url)
    const denied = await fetch(url)
    expect(denied.status).toBe(429)
    expect(denied.headers.get('retry-after')).toBe('30')
    expect(denied.headers.get('ratelimit')).toMatch(/^"burst";r=0;t=30;pk=:[^:]+:$/)
    expect(denied.headers.get('content-type')).toBe('application/problem+json')
    expect(await denied.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['burst'],
    })
  })

  it.each([
    { trust: true, refused: true },
    { trust: () => true, refused: true },
    { trust: '0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1', refused: true },
    { trust: true, trustAnyProxy: true, refused: false },
    { trust: 1, refused: false },
    { trust: ['loopback', '10.0.0.0/8'], refused: false },
    { trust: (_address: string, hop: number) => hop === 0, refused: false },
    { trust: false, refused: false },
  ])('with `trust proxy` $trust refuses: $refused', async ({ trust, refused, trustAnyProxy = false }) => {
    const app = express()
    app.set('trust proxy', trust)
    app.use(expressRateLimit(limiterOf(2), { trustAnyProxy }))
    app.get('/', (_request, response) => void response.json({ code: 'none' }))
    app.use(
      ((error, _request, response, _next) =>
        void response.status(500).json({ code: error.code })) as express.ErrorRequestHandler,
    )
    const response = await fetch(await serve(app))
    expect(await response.json()).toEqual({ code: refused ? 'LIMIT_ERR_PROXY' : 'none' })
  })

  it('gives all clients that claim no address at all one limit', async () => {
    const app = express()
    app.set('trust proxy', 1)
    app.use(expressRateLimit(limiterOf(1)))
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await serve(app)
    const statuses = []
    for (const claimed of ['unknown', '192.0.2.1:', "'; --", '::1::', '1.2.3', 'a'.repeat(8_000)]) {
      statuses.push((await fetch(url, { headers: { 'x-forwarded-for': claimed } })).status)
    }
    expect(statuses).toEqual([200, 429, 429, 429, 429, 429])
    // Only the address that the last proxy wrote counts, however many a client writes before it.
    const many = `${'192.0.2.9, '.repeat(500)}192.0.2.2`
    expect((await fetch(url, { headers: { 'x-forwarded-for': many } })).status).toBe(200)
    expect((await fetch(url, { headers: { 'x-forwarded-for': '192.0.2.2' } })).status).toBe(429)
  })

  it('compares as much of an IPv6 address as asked, and hands a denial to whoever wants to answer it', async () => {
    const app = express()
    app.set('trust proxy', 1)
    app.use(
      expressRateLimit(limiterOf(1), {
        ipv6: 48,
        onDenied: (_request, response, _next, decision) => void response.send(decision.limitedBy.join()),
      }),
    )
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await serve(app)
    const from = (address: string) => fetch(url, { headers: { 'x-forwarded-for': address } })
    expect((await from('2001:db8:1:1::1')).status).toBe(200)
    const denied = await from('2001:db8:1:2::1')
    expect([denied.status, denied.headers.get('retry-after'), await denied.text()]).toEqual([
      429,
      '60',
      'burst',
    ])
    expect((await from('2001:db8:2::1')).status).toBe(200)
    expect(() => expressRateLimit(limiterOf(1), { ipv6: 0 as never })).toThrow(/number of bits/)
  })

  it('tells clients behind a trusted proxy apart', async () => {
    const app = express()
    app.set('trust proxy', 1)
    app.use(expressRateLimit(limiterOf(1)))
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await serve(app)
    const from = (address: string) => fetch(url, { headers: { 'x-forwarded-for': address } })
    expect((await from('192.0.2.1')).status).toBe(200)
    expect((await from('::ffff:192.0.2.1')).status).toBe(429)
    expect((await from('192.0.2.2')).status).toBe(200)
    expect((await from('2001:db8::1')).status).toBe(200)
    expect((await from('2001:db8::2')).status).toBe(429)
    // Some balancers write the port too, another one for each connection.
    expect((await from('192.0.2.3:5678')).status).toBe(200)
    expect((await from('192.0.2.3:5679')).status).toBe(429)
  })

  it('adds nothing to a response that something else has sent meanwhile', async () => {
    const limiter = limiterOf(1)
    let denials = 0
    limiter.on('denied', () => denials++)
    const errors: unknown[] = []
    const app = express()
    app.use((_request, response, next) => {
      response.send('late')
      next()
    })
    app.use(expressRateLimit(limiter, { key: () => 'one' }))
    app.use(((error, _request, _response, _next) => errors.push(error)) as express.ErrorRequestHandler)
    app.use((_request, _response) => {})
    const url = await serve(app)
    for (let call = 0; call < 2; call++) expect(await (await fetch(url)).text()).toBe('late')
    await expect.poll(() => denials).toBe(1)
    expect(errors).toEqual([])
  })

  it.each([undefined, null, 'route', 'router'])(
    'lets nothing pass for a key function that throws %s',
    async (thrown) => {
      const app = express()
      app.get(
        '/',
        expressRateLimit(limiterOf(1), {
          key() {
            throw thrown
          },
        }),
        (_request, response) => void response.send('passed'),
      )
      app.use((_request, response) => void response.send('passed'))
      app.use(((error, _request, response, _next) => {
        response.status(500).json(error.cause)
      }) as express.ErrorRequestHandler)
      const response = await fetch(await serve(app))
      expect(response.status).toBe(500)
    },
  )

  it('counts only the responses asked for', async () => {
    const app = express()
    app.use(expressRateLimit(limiterOf(2), { countWhen: (response) => response.statusCode >= 400 }))
    app.get('/ok', (_request, response) => void response.send('ok'))
    app.get('/bad', (_request, response) => void response.status(401).send('no'))
    const url = await serve(app)
    // What does not count is given back once its connection is done with it.
    for (let call = 0; call < 5; call++) {
      await expect.poll(async () => (await fetch(`${url}/ok`)).status).toBe(200)
    }
    for (let call = 0; call < 2; call++) {
      await expect.poll(async () => (await fetch(`${url}/bad`)).status).toBe(401)
    }
    expect((await fetch(`${url}/bad`)).status).toBe(429)
  })

  it('takes key, cost, policies and plan from the request', async () => {
    const limiter = createRateLimiter({
      policies: {
        read: gcra({ limit: 4, per: '1m', plans: { pro: 8 } }),
        write: gcra({ limit: 1, per: '1m' }),
      },
    })
    open.push(() => limiter.close())
    const app = express()
    app.use(
      expressRateLimit(limiter, {
        key: (request) => `user:${request.get('x-user')}`,
        policies: (request) => [request.method === 'GET' ? 'read' : 'write'],
        cost: (request) => Number(request.query.cost ?? 1),
        plan: (request) => request.get('x-plan'),
        skip: (request) => request.path === '/health',
        headers: 'legacy',
      }),
    )
    app.use((_request, response) => void response.send('ok'))
    const url = await serve(app)
    const get = (path: string, headers = {}) => fetch(url + path, { headers: { 'x-user': '1', ...headers } })
    expect((await get('/?cost=3')).headers.get('x-ratelimit-remaining')).toBe('1')
    expect((await get('/?cost=3')).status).toBe(429)
    expect((await get('/?cost=3', { 'x-plan': 'pro' })).status).toBe(200)
    expect((await get('/health')).headers.get('x-ratelimit-limit')).toBeNull()
  })

  it('only reports in shadow mode', async () => {
    const app = express()
    app.use(expressRateLimit(limiterOf(1), { mode: 'shadow' }))
    app.get('/', (_request, response) => void response.json(response.locals.rateLimit.allowed))
    const url = await serve(app)
    await fetch(url)
    expect(await (await fetch(url)).json()).toBe(false)
  })
})
