import { once } from 'node:events'
import { type IncomingHttpHeaders, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import express, { type Express } from 'express'
import express4 from 'express-4'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type HttpCacheOptions, httpCache } from '../../src/express.ts'
import { type Cache, createCache } from '../../src/index.ts'
import { patient, until } from '../fleet.ts'

let cache: Cache
let framework: () => Express
let server: Server
let runs: number

beforeEach(() => {
  cache = createCache({ name: 'web' })
  runs = 0
})

afterEach(async () => {
  vi.useRealTimers()
  server?.close()
  server?.closeAllConnections()
  await cache.close()
})

async function serve(options: HttpCacheOptions, routes: (app: Express) => void): Promise<void> {
  const app = framework()
  app.use((_request, response, next) => {
    response.set('x-before', 'kept')
    next()
  })
  app.use(httpCache(cache, options))
  app.use((_request, _response, next) => {
    runs++
    next()
  })
  routes(app)
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { port } = server.address() as AddressInfo
  const sent = request({ host: '127.0.0.1', port, path, method, headers })
  sent.end()
  const [response] = await once(sent, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, headers: response.headers, body }
}

/** Only what the answers say of time: the cache and the network go on as they are. */
async function pass(seconds: number, path: string): Promise<void> {
  if (!vi.isFakeTimers()) vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(Date.now() + seconds * 1_000)
  const { port } = server.address() as AddressInfo
  await cache.expire(`http:${JSON.stringify([`127.0.0.1:${port}`, path, '', []])}`)
}

describe.each([
  { name: 'Express 5', of: express },
  { name: 'Express 4', of: express4 },
])('httpCache in $name', ({ of }) => {
  beforeEach(() => {
    framework = of
  })

  it('keeps an answer for its max-age, with its age, and serves HEAD and 304 from it', async () => {
    await serve({}, (app) => {
      app.get('/jobs', (_request, response) => {
        response.set('Cache-Control', 'public, max-age=60').json({ run: runs })
      })
    })
    const first = await ask('/jobs')
    expect(first.headers['cache-status']).toBe('web; fwd=uri-miss; stored')
    const second = await ask('/jobs')
    expect(second).toMatchObject({ status: 200, body: '{"run":1}' })
    expect(second.headers).toMatchObject({
      'cache-status': 'web; hit',
      age: expect.stringMatching(/^\d+$/),
      etag: first.headers.etag,
      'content-type': 'application/json; charset=utf-8',
    })
    const head = await ask('/jobs', {}, 'HEAD')
    expect(head).toMatchObject({ status: 200, body: '' })
    expect(head.headers['content-length']).toBe('9')
    const same = await ask('/jobs', { 'if-none-match': String(first.headers.etag) })
    expect(same).toMatchObject({ status: 304, body: '' })
    expect(same.headers).toMatchObject({ etag: first.headers.etag, 'cache-control': 'public, max-age=60' })
    expect(runs).toBe(1)
  })

  it('makes an ETag for answers that have none, whatever way they were written', async () => {
    await serve({ ttl: '1m' }, (app) => {
      app.get('/raw', (_request, response) => {
        response.writeHead(200, 'OK', { 'content-type': 'text/plain' })
        response.write('ab')
        response.write(Buffer.from('c'))
        response.end('64', 'hex')
      })
    })
    await ask('/raw')
    const kept = await ask('/raw')
    expect(kept).toMatchObject({ status: 200, body: 'abcd' })
    expect(kept.headers['content-type']).toBe('text/plain')
    expect((await ask('/raw', { 'if-none-match': String(kept.headers.etag) })).status).toBe(304)
    expect(runs).toBe(1)
  })

  it('never keeps what must not be shared', async () => {
    const secrets: Record<string, (response: express.Response) => void> = {
      '/private': (response) => response.set('Cache-Control', 'private, max-age=60'),
      '/no-store': (response) => response.set('Cache-Control', 'NO-STORE'),
      '/no-cache': (response) => response.set('Cache-Control', 'max-age=60, no-cache="set-cookie"'),
      '/set-cookie': (response) => response.cookie('id', '1'),
      '/vary': (response) => response.vary('Accept-Language'),
      '/vary-any': (response) => response.set('Vary', '*'),
      '/bad-age': (response) => response.set('Cache-Control', 'max-age=-5'),
      '/expired': (response) => response.set('Expires', '0'),
      '/status': (response) => response.status(403),
    }
    await serve({ ttl: '1m', maxBodyBytes: 100 }, (app) => {
      for (const [path, secret] of Object.entries(secrets)) {
        app.get(path, (_request, response) => {
          secret(response)
          response.send(`run ${runs}`)
        })
      }
      app.get('/large', (_request, response) => void response.send('x'.repeat(101)))
      app.get('/plain', (_request, response) => void response.send(`run ${runs}`))
    })
    for (const path of [...Object.keys(secrets), '/large']) {
      const before = runs
      for (let i = 0; i < 2; i++) expect((await ask(path)).headers['cache-status'], path).not.toContain('hit')
      expect(runs - before, path).toBe(2)
    }
    for (const headers of [
      { authorization: 'Bearer x' },
      { cookie: 'session=1' },
      { range: 'bytes=0-1' },
      { 'cache-control': 'no-store' },
    ]) {
      const before = runs
      await ask('/plain', headers)
      await ask('/plain', headers)
      expect(runs - before).toBe(2)
    }
    const before = runs
    await ask('/plain')
    expect((await ask('/plain')).headers['cache-status']).toBe('web; hit')
    expect(runs - before).toBe(1)
  })

  it('keeps one answer per declared field and query, in any order of the parameters', async () => {
    await serve({ ttl: '1m', vary: ['Accept-Language'], query: ['a', 'b'], cookies: 'ignore' }, (app) => {
      app.get('/list', (request, response) => {
        response.vary('Accept-Language').send(`${request.headers['accept-language']} ${request.query.a}`)
      })
    })
    expect((await ask('/list?a=1&b=2', { 'accept-language': 'de' })).body).toBe('de 1')
    expect((await ask('/list?b=2&a=1&utm=x', { 'accept-language': 'de', cookie: 'c=1' })).body).toBe('de 1')
    expect(runs).toBe(1)
    expect((await ask('/list?a=1&b=2', { 'accept-language': 'fr' })).body).toBe('fr 1')
    expect((await ask('/list?a=2&b=2', { 'accept-language': 'de' })).body).toBe('de 2')
    expect((await ask('/list?a=1&b=2', { 'accept-language': 'de', host: 'other' })).body).toBe('de 1')
    expect(runs).toBe(4)
    for (const hostile of [{ 'accept-language': 'x'.repeat(300) }, { host: 'h'.repeat(300) }]) {
      const answer = await ask('/list?a=1&b=2', hostile)
      expect(answer.headers['cache-status']).toBe('web; fwd=bypass; detail=length')
    }
    expect((await ask(`/list?a=${'x'.repeat(5_000)}`)).headers['cache-status']).toContain('bypass')
  })

  it('runs the handlers once for requests that come together, and once each when they fail', async () => {
    let release: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await serve({ ttl: '1m' }, (app) => {
      app.get('/slow', async (_request, response) => {
        await held
        response.send(`run ${runs}`)
      })
      app.get('/broken', () => {
        throw new Error('broken')
      })
    })
    const asked = Array.from({ length: 10 }, () => ask('/slow'))
    await until('the first is under way', () => runs === 1)
    release()
    expect(new Set((await Promise.all(asked)).map(({ body }) => body))).toEqual(new Set(['run 1']))
    expect(runs).toBe(1)
    const broken = await Promise.all([ask('/broken'), ask('/broken')])
    expect(broken.map(({ status }) => status)).toEqual([500, 500])
  })

  it('serves the older answer while one request makes the new one', async () => {
    let release: () => void = () => {}
    let held = Promise.resolve()
    await serve({ ttl: '1m', staleWhileRevalidate: '1h' }, (app) => {
      app.get('/news', async (_request, response) => {
        await held
        response.set('Surrogate-Key', 'news front').send(`run ${runs}`)
      })
    })
    const first = await ask('/news')
    expect(first.headers['surrogate-key']).toBeUndefined()
    await pass(61, '/news')
    held = new Promise((resolve) => {
      release = resolve
    })
    const maker = ask('/news')
    await until('one makes the new answer', () => runs === 2)
    const older = await ask('/news')
    expect(older).toMatchObject({ status: 200, body: 'run 1' })
    expect(older.headers['cache-status']).toMatch(/^web; hit; ttl=-\d+$/)
    release()
    expect(await maker).toMatchObject({ status: 200, body: 'run 2' })
  })

  it('obeys stale-while-revalidate and stale-if-error of the answer', async () => {
    let fail = false
    let release: () => void = () => {}
    let held = Promise.resolve()
    await serve({ staleWhileRevalidate: '1h' }, (app) => {
      app.get('/news', async (_request, response) => {
        await held
        if (fail) response.status(503).set('x-broken', '1').write('half')
        else {
          response.set('Cache-Control', 'max-age=10, stale-while-revalidate=20, stale-if-error=600')
          response.write(`run ${runs}`)
        }
        response.end()
      })
    })
    const hold = () => {
      held = new Promise((resolve) => {
        release = resolve
      })
    }
    await ask('/news')
    await pass(20, '/news')
    hold()
    const maker = ask('/news')
    await until('one makes the new answer', () => runs === 2)
    expect((await ask('/news')).body).toBe('run 1')
    release()
    expect((await maker).body).toBe('run 2')

    await pass(60, '/news')
    hold()
    const both = [ask('/news'), ask('/news')]
    await until('one makes the new answer', () => runs === 3)
    release()
    expect((await Promise.all(both)).map(({ body }) => body)).toEqual(['run 3', 'run 3'])
    expect(runs).toBe(3)

    await pass(60, '/news')
    fail = true
    const saved = await ask('/news')
    expect(saved).toMatchObject({ status: 200, body: 'run 3' })
    expect(saved.headers).toMatchObject({
      'cache-status': 'web; fwd=stale; fwd-status=503',
      'x-before': 'kept',
      age: expect.stringMatching(/^\d+$/),
    })
    expect(saved.headers['x-broken']).toBeUndefined()
    expect((await ask('/news')).body).toBe('run 3')

    await pass(600, '/news')
    expect(await ask('/news')).toMatchObject({ status: 503, body: 'half' })
    fail = false
    expect((await ask('/news')).body).toBe(`run ${runs}`)
  })

  it('puts the older answer in the place of an error that the handlers threw, for everybody', async () => {
    let fail = false
    await serve({ ttl: '10s', staleIfError: '1h' }, (app) => {
      app.get('/jobs', (_request, response) => {
        response.set('x-run', String(runs))
        if (fail) throw Object.assign(new Error('down'), { status: 500 })
        response.json({ run: runs })
      })
      app.use(((_error, _request, response, _next) => {
        response.status(500).json({ error: true })
      }) satisfies express.ErrorRequestHandler)
    })
    const first = await ask('/jobs')
    await pass(20, '/jobs')
    fail = true
    const answers = await Promise.all([1, 2, 3].map(() => ask('/jobs')))
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 200, body: '{"run":1}' })
      expect(answer.headers).toMatchObject({ etag: first.headers.etag, 'x-run': '1' })
    }
    const same = await ask('/jobs', { 'if-none-match': String(first.headers.etag) })
    expect(same).toMatchObject({ status: 304, body: '' })
    // The server is not spared: it is asked, and found well again.
    fail = false
    expect((await ask('/jobs')).headers['cache-status']).toBe('web; fwd=stale; stored')
  })

  it('gives nobody an older answer that forbids it', async () => {
    let fail = false
    await serve({ staleWhileRevalidate: '1h', staleIfError: '1h' }, (app) => {
      app.get('/:control', (request, response) => {
        response.set('Cache-Control', request.params.control)
        response.status(fail ? 502 : 200).send(`run ${runs}`)
      })
    })
    for (const [control, older] of [
      ['max-age=10', true],
      ['max-age=10,must-revalidate', false],
      ['max-age=10,proxy-revalidate,stale-if-error=60', false],
      ['s-maxage=10', false],
      ['s-maxage=10,stale-if-error=60', true],
      ['max-age=10,stale-while-revalidate=0,stale-if-error=x', false],
    ] as const) {
      fail = false
      await ask(`/${control}`)
      await pass(20, `/${control}`)
      fail = true
      expect((await ask(`/${control}`)).status, control).toBe(older ? 200 : 502)
    }
  })

  it('drops answers by surrogate key, and by a successful write to their path', async () => {
    await serve({ ttl: '1m' }, (app) => {
      app.get('/jobs', (_request, response) => {
        response.set('Surrogate-Key', 'jobs company:7').send(`run ${runs}`)
      })
      app.post('/jobs', (request, response) => {
        response.status(request.headers['x-bad'] ? 400 : 201).end()
      })
    })
    const read = async () => (await ask('/jobs?page=1')).body
    expect(await read()).toBe('run 1')
    await cache.invalidateTags('company:7')
    expect(await read()).toBe('run 2')
    await ask('/jobs', { 'x-bad': '1' }, 'POST')
    expect(await read()).toBe('run 2')
    await ask('/jobs', {}, 'POST')
    await until('the write has taken hold', async () => (await read()) !== 'run 2')
  })

  it('refuses wrong options at once', () => {
    expect(() => httpCache(cache, { ttl: 'soon' as '1s' })).toThrow(
      expect.objectContaining({ code: 'CACHE_ERR_OPTION' }),
    )
    expect(() => httpCache(cache, { colour: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'CACHE_ERR_OPTION' }),
    )
  })
})

describe('httpCache on Redis', () => {
  let redisServer: StandaloneRedis
  let redis: Redis
  beforeAll(async () => {
    redisServer = await startRedis()
    redis = new Redis(redisServer.url)
  })
  afterAll(async () => {
    redis?.disconnect()
    await redisServer?.close()
  })

  it('runs the handlers once for all nodes, and one node saves another one from its failure', async () => {
    let fail = false
    let total = 0
    const nodes = await Promise.all(
      [express, express4].map(async (of) => {
        const shared = createCache({ name: 'web', redis, sync: { maxStaleness: '1h' }, l2: patient })
        const app: Express = of()
        app.use(httpCache(shared, { ttl: '10s', staleIfError: '1h' }))
        app.get('/jobs', async (_request, response) => {
          total++
          if (fail) response.sendStatus(503)
          else response.set('Surrogate-Key', 'jobs').send(`run ${total}`)
        })
        const http = app.listen(0, '127.0.0.1')
        await once(http, 'listening')
        return { cache: shared, http }
      }),
    )
    const on = async (node: number) => {
      const http = nodes[node]?.http
      if (http) server = http
      return await ask('/jobs', { host: 'jobs.example' })
    }
    try {
      const asked = [on(0), on(1), on(0), on(1)]
      expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(Array(4).fill('run 1'))
      expect(total).toBe(1)
      await nodes[0]?.cache.invalidateTags('jobs')
      await until('the other node has heard', async () => (await on(1)).body === 'run 2')
      expect((await on(0)).body).toBe('run 2')
      vi.useFakeTimers({ toFake: ['Date'] })
      vi.setSystemTime(Date.now() + 20_000)
      await nodes[0]?.cache.expire('http:["jobs.example","/jobs","",[]]')
      fail = true
      // This node has it from Redis alone.
      const late = createCache({ name: 'web', redis, l2: patient })
      const app = express()
      app.use(httpCache(late, { ttl: '10s', staleIfError: '1h' }))
      app.get('/jobs', (_request, response) => void response.sendStatus(503))
      const http = app.listen(0, '127.0.0.1')
      await once(http, 'listening')
      nodes.push({ cache: late, http })
      expect(await on(2)).toMatchObject({ status: 200, body: 'run 2' })
    } finally {
      for (const { cache: shared, http } of nodes) {
        http.close()
        http.closeAllConnections()
        await shared.close()
      }
    }
  })
})
