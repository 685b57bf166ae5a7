import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express-4'
import { rateLimit } from 'express-rate-limit'
import fastify from 'fastify'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pacedFetch } from '../../src/client.ts'
import { expressRateLimit } from '../../src/express.ts'
import { expressRateLimitStore } from '../../src/express-rate-limit.ts'
import { fastifyRateLimit } from '../../src/fastify.ts'
import { honoRateLimit } from '../../src/hono.ts'
import { createRateLimiter, fixedWindow, gcra } from '../../src/index.ts'

const open: (() => Promise<unknown>)[] = []
// The clock stands still, so that fields tell the same times however slow the machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
})
afterEach(async () => {
  vi.useRealTimers()
  for (const close of open.splice(0).reverse()) await close()
})

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      open.push(() => new Promise((done) => server.close(done)))
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    })
  })
}

function limiterOf(limit: number) {
  const limiter = createRateLimiter({ policies: { api: fixedWindow({ limit, per: '1m' }) } })
  open.push(() => limiter.close())
  return limiter
}

describe('expressRateLimit on Express 4', () => {
  it('limits, settles by response and hands errors on', async () => {
    const app = express4()
    app.use(
      expressRateLimit(limiterOf(1), {
        key: (request) => {
          if (request.path === '/broken') throw new Error('no key')
          return 'one'
        },
        countWhen: (response) => response.statusCode >= 400,
        headers: 'both',
      }),
    )
    app.get('/ok', (_request, response) => void response.send('ok'))
    app.get('/bad', (_request, response) => void response.status(401).send('no'))
    app.use(((error, _request, response, _next) => {
      response.status(500).json({ message: error.message })
    }) as express.ErrorRequestHandler)
    const url = await listen(createServer(app))
    const ok = await fetch(`${url}/ok`)
    expect(ok.status).toBe(200)
    expect(ok.headers.get('ratelimit')).toMatch(/^"api";r=0;t=60;pk=:/)
    expect(ok.headers.get('x-ratelimit-limit')).toBe('1')
    // What did not count is given back once its connection is done with it.
    await expect.poll(async () => (await fetch(`${url}/bad`)).status).toBe(401)
    const denied = await fetch(`${url}/ok`)
    expect(denied.status).toBe(429)
    expect(denied.headers.get('content-type')).toBe('application/problem+json')
    expect(await (await fetch(`${url}/broken`)).json()).toEqual({ message: 'no key' })
  })
})

describe('expressRateLimit behind a proxy that Express does not know of', () => {
  it('warns once, with a code', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const app = express()
    app.use(expressRateLimit(limiterOf(5)))
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await listen(createServer(app))
    // The first comes without, as a balancer's own questions do.
    await fetch(url)
    for (let call = 0; call < 3; call++) await fetch(url, { headers: { 'x-forwarded-for': '192.0.2.1' } })
    const codes = warned.mock.calls.map(([, options]) => (options as { code?: string } | undefined)?.code)
    warned.mockRestore()
    expect(codes.filter((code) => code === 'LIMIT_WARN_PROXY')).toHaveLength(1)
  })
})

describe('fastifyRateLimit', () => {
  it('tells where the client stands, denies with a problem document and counts what is asked for', async () => {
    const app = fastify()
    app.addHook(
      'onRequest',
      fastifyRateLimit(limiterOf(1), { countWhen: (reply) => reply.statusCode >= 400 }),
    )
    app.get('/ok', async () => 'ok')
    app.get('/bad', async (_request, reply) => reply.code(401).send('no'))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    open.push(() => app.close())
    for (let call = 0; call < 3; call++) {
      await expect.poll(async () => (await fetch(`${url}/ok`)).status).toBe(200)
    }
    // What did not count is given back once its connection is done with it.
    await expect.poll(async () => (await fetch(`${url}/bad`)).status).toBe(401)
    const denied = await fetch(`${url}/ok`)
    expect(denied.status).toBe(429)
    expect(denied.headers.get('retry-after')).toBe('60')
    expect(denied.headers.get('ratelimit-policy')).toBe('"api";q=1;w=60')
    expect(denied.headers.get('content-type')).toBe('application/problem+json')
    expect(await denied.json()).toMatchObject({ status: 429, 'violated-policies': ['api'] })
  })

  it.each([
    { trustProxy: true, status: 500 },
    { trustProxy: () => true, status: 500 },
    { trustProxy: '0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1', status: 500 },
    { trustProxy: true, trustAnyProxy: true, status: 200 },
    { trustProxy: 1, status: 200 },
    { trustProxy: '127.0.0.1', status: 200 },
    { trustProxy: false, status: 200 },
  ])('with trustProxy $trustProxy answers $status', async ({ trustProxy, status, trustAnyProxy = false }) => {
    const app = fastify({ trustProxy })
    app.addHook('onRequest', fastifyRateLimit(limiterOf(5), { trustAnyProxy }))
    app.get('/', async () => 'ok')
    const response = await app.inject({ url: '/', headers: { 'x-forwarded-for': '192.0.2.1' } })
    open.push(() => app.close())
    expect(response.statusCode).toBe(status)
    if (status === 500) expect(response.json()).toMatchObject({ code: 'LIMIT_ERR_PROXY' })
  })
})

describe('fastifyRateLimit on a route', () => {
  it('hands a denial to whoever wants to answer it, and errors of its functions to Fastify', async () => {
    const app = fastify()
    open.push(() => app.close())
    const onRequest = fastifyRateLimit(limiterOf(1), {
      key(request) {
        if (request.url === '/broken') throw new Error('no key')
        return 'one'
      },
      onDenied: (_request, reply, decision) => reply.send({ busy: decision.limitedBy }),
    })
    app.get('/', { onRequest }, async () => 'ok')
    app.get('/broken', { onRequest }, async () => 'ok')
    expect((await app.inject('/')).statusCode).toBe(200)
    const denied = await app.inject('/')
    expect([denied.statusCode, denied.headers['retry-after'], denied.json()]).toEqual([
      429,
      '60',
      { busy: ['api'] },
    ])
    expect((await app.inject('/broken')).json()).toMatchObject({ message: 'no key' })
  })
})

describe('fastifyRateLimit with an answer that other hooks hold up', () => {
  it('does not let the handler run for a denied request', async () => {
    let handled = 0
    const app = fastify()
    open.push(() => app.close())
    app.addHook('onSend', () => new Promise((resolve) => setImmediate(resolve)))
    app.addHook(
      'onRequest',
      fastifyRateLimit(limiterOf(1), {
        key: () => 'one',
        // Sent, but not returned.
        onDenied: (_request, reply) => void reply.send('busy'),
      }),
    )
    app.get('/', async () => {
      handled++
      return 'ok'
    })
    expect((await app.inject('/')).body).toBe('ok')
    const denied = await app.inject('/')
    expect([denied.statusCode, denied.body, handled]).toEqual([429, 'busy', 1])
  })
})

describe('honoRateLimit', () => {
  it('adds the fields to every response, denies with a problem document and counts what is asked for', async () => {
    const app = new Hono<{ Variables: { rateLimit: { allowed: boolean } } }>()
    app.use(
      honoRateLimit(limiterOf(1), {
        key: (context) => context.req.header('x-user') ?? 'nobody',
        countWhen: (response) => response.status >= 400,
      }),
    )
    app.get('/ok', (context) => context.json(context.get('rateLimit').allowed))
    app.get('/raw', () => Response.redirect('https://example.com/', 302))
    app.get('/bad', (context) => context.text('no', 401))
    const url = await listen(createServer(getRequestListener(app.fetch)))
    const get = (path: string) => fetch(url + path, { headers: { 'x-user': '1' }, redirect: 'manual' })
    const ok = await get('/ok')
    expect(await ok.json()).toBe(true)
    expect(ok.headers.get('ratelimit')).toMatch(/^"api";r=0;t=60;pk=:/)
    await expect.poll(async () => (await get('/raw')).status).toBe(302)
    let raw = await get('/raw')
    while (raw.status !== 302) raw = await get('/raw')
    expect(raw.headers.get('ratelimit-policy')).toBe('"api";q=1;w=60')
    await expect.poll(async () => (await get('/bad')).status).toBe(401)
    const denied = await get('/ok')
    expect(denied.status).toBe(429)
    expect(denied.headers.get('retry-after')).toBe('60')
    expect(await denied.json()).toMatchObject({ 'violated-policies': ['api'] })
  })

  it('counts a request whose handler throws what Hono makes no response of', async () => {
    const limiter = limiterOf(5)
    const reserve = vi.spyOn(limiter, 'reserve')
    const app = new Hono()
    app.use(honoRateLimit(limiter, { key: () => 'one', countWhen: () => false }))
    app.get('/', () => {
      throw 'no error'
    })
    await expect(Promise.resolve(app.request('/'))).rejects.toBe('no error')
    // It is settled: there is nothing to give back any more.
    const reserved = await reserve.mock.results[0]?.value
    await reserved.release()
    expect((await limiter.peek('one')).policies.api?.remaining).toBe(4)
  })

  it('demands a key', () => {
    expect(() => honoRateLimit(limiterOf(1), {} as never)).toThrow(/key is required/)
  })
})

describe('expressRateLimitStore', () => {
  it('decides for express-rate-limit: its headers, this limiter, and nothing charged for a denial', async () => {
    const limiter = createRateLimiter({ policies: { api: gcra({ limit: 2, per: '1h' }) } })
    open.push(() => limiter.close())
    const app = express()
    app.use(
      rateLimit({
        limit: 2,
        windowMs: 3_600_000,
        standardHeaders: 'draft-7',
        legacyHeaders: false,
        store: expressRateLimitStore(limiter),
        keyGenerator: () => 'one',
      }),
    )
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await listen(createServer(app))
    const first = await fetch(url)
    expect(first.headers.get('ratelimit')).toMatch(/limit=2, remaining=1, reset=1800/)
    expect((await fetch(url)).status).toBe(200)
    for (let call = 0; call < 5; call++) {
      const denied = await fetch(url)
      expect(denied.status).toBe(429)
      expect(denied.headers.get('retry-after')).toBe('1800')
    }
    await limiter.refund('one')
    expect((await fetch(url)).status).toBe(200)
  })

  it('implements the rest of the Store interface', async () => {
    const limiter = limiterOf(3)
    const store = expressRateLimitStore(limiter, { policy: 'api' })
    store.init?.({ limit: 3 } as never)
    expect(await store.increment('a')).toMatchObject({ totalHits: 1 })
    expect(await store.increment('a')).toMatchObject({ totalHits: 2 })
    expect(await store.get?.('a')).toMatchObject({ totalHits: 2 })
    await store.decrement('a')
    expect(await store.get?.('a')).toMatchObject({ totalHits: 1 })
    await store.resetKey('a')
    expect(await store.get?.('a')).toMatchObject({ totalHits: 0 })
    expect(() => store.init?.({ limit: () => 3 } as never)).toThrow(/limit. as a number/)
    expect(() => expressRateLimitStore(limiter, { polcy: 'api' } as never)).toThrow(/did you mean "policy"/)
    expect(() => expressRateLimitStore({} as never)).toThrow(/must be a rate limiter/)
  })

  it('takes nothing back while Redis is gone, and rejects nothing that the middleware would not catch', async () => {
    const redis = new Redis({ lazyConnect: true })
    redis.disconnect()
    const limiter = createRateLimiter({ redis, policies: { api: fixedWindow({ limit: 3, per: '1m' }) } })
    open.push(() => limiter.close())
    const store = expressRateLimitStore(limiter)
    await store.decrement('a')
    await expect(Promise.resolve(store.decrement(''))).rejects.toMatchObject({
      code: 'LIMIT_ERR_BAD_ARGUMENT',
    })
  })
})

describe('pacedFetch', () => {
  beforeEach(() => {
    vi.useRealTimers()
  })

  it('is never refused by a server that publishes its limits', async () => {
    const limiter = createRateLimiter({ policies: { api: fixedWindow({ limit: 5, per: '1s' }) } })
    open.push(() => limiter.close())
    const app = express()
    app.use(expressRateLimit(limiter, { key: () => 'one' }))
    app.get('/', (_request, response) => void response.send('ok'))
    const url = await listen(createServer(app))
    const statuses: number[] = []
    const paced = pacedFetch({
      maxWait: '1m',
      retries: 0,
      async fetch(...call) {
        const response = await fetch(...call)
        statuses.push(response.status)
        return response
      },
    })
    const first = await paced(url)
    expect(first.status).toBe(200)
    for (let call = 0; call < 11; call++) expect((await paced(url)).status).toBe(200)
    expect(statuses).toEqual(Array.from({ length: 12 }, () => 200))
  })

  it('takes what is no time for none, and is held up by no server for ever', async () => {
    const past = 'Thu, 01 Jan 1970 00:00:00 GMT'
    const values = ['1.5', '-1', 'soon', '', 'Tue, 10 Mar 2026 12:00:00', '9'.repeat(400), '0', past]
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(429, {
        'retry-after': values[asked.length - 1],
        ratelimit: '"api";r=-1;t=999999999999999, "b";r=0;t=999999999999999999999, "c";r=1.5',
      })
      response.end()
    })
    const url = await listen(server)
    const paced = pacedFetch({ maxWait: 0 })
    for (const [index] of values.slice(0, 6).entries()) {
      expect((await paced(`${url}/${index}`)).status).toBe(429)
    }
    // None of these was sent again; a time of 0 is, twice by default.
    expect(asked).toEqual(['/0', '/1', '/2', '/3', '/4', '/5'])
    expect((await paced(`${url}/6`)).status).toBe(429)
    expect(asked.slice(6)).toEqual(['/6'])
    const patient = pacedFetch({ maxWait: '20s' })
    asked.splice(0, asked.length, ...Array.from({ length: 6 }, () => ''))
    values.push('0', 'Fri, 31 Dec 9999 23:59:59 GMT')
    expect((await patient(`${url}/7`)).status).toBe(429)
    expect(asked.slice(6)).toEqual(['/7', '/7', '/7'])
  })

  it('sends a refused request again when its time has come, and gives up when that is too late', async () => {
    let refusals = 2
    const server = createServer((_request, response) => {
      if (refusals-- > 0) response.writeHead(429, { 'retry-after': '0' }).end('no')
      else response.writeHead(429, { 'retry-after': '3600' }).end('later')
    })
    const url = await listen(server)
    const response = await pacedFetch({ maxWait: '20s', retries: 5 })(url, { method: 'POST', body: 'x' })
    expect([response.status, await response.text()]).toEqual([429, 'later'])
    expect(refusals).toBe(-1)
  })

  it('keeps to the time a request was told itself, though another was told a longer one', async () => {
    const times: number[] = []
    const server = createServer((request, response) => {
      if (request.url === '/long') response.writeHead(429, { 'retry-after': '3600' }).end()
      else if (times.push(performance.now()) === 1) response.writeHead(429, { 'retry-after': '1' }).end()
      else response.end('ok')
    })
    const url = await listen(server)
    const paced = pacedFetch({ maxWait: '1m' })
    expect((await paced(`${url}/long`)).status).toBe(429)
    expect((await paced(url)).status).toBe(200)
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(950)
  })

  it('sends a stream once, and refuses options it does not know', async () => {
    let asked = 0
    const server = createServer((request, response) => {
      asked++
      request.resume().on('end', () => response.writeHead(429, { 'retry-after': '0' }).end())
    })
    const url = await listen(server)
    const chunks = async function* () {
      yield new TextEncoder().encode('once')
    }
    const bodies = [chunks(), new Blob(['once']).stream()]
    for (const body of bodies) {
      const request = { method: 'POST', body, duplex: 'half' } as unknown as RequestInit
      expect((await pacedFetch()(url, request)).status).toBe(429)
    }
    expect(asked).toBe(2)
    for (const wrong of [{ maxWait: -1 }, { retries: 0.5 }, { maxwait: 5 }, { fetch: 'fetch' }, null]) {
      expect(() => pacedFetch(wrong as never)).toThrow(
        expect.objectContaining({ code: 'LIMIT_ERR_BAD_OPTION' }),
      )
    }
  })

  it('stops waiting when its caller does', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { ratelimit: '"api";r=0;t=3600' }).end('ok')
    })
    const url = await listen(server)
    const paced = pacedFetch({ maxWait: '2h' })
    await paced(url)
    const controller = new AbortController()
    const waiting = paced(url, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })
})
