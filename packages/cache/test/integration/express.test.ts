import { once } from 'node:events'
import { type IncomingHttpHeaders, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type HttpCacheOptions, httpCache } from '../../src/express.ts'
import { type Cache, createCache } from '../../src/index.ts'
import { until } from '../fleet.ts'

let cache: Cache
let server: Server
let runs: number

beforeEach(() => {
  cache = createCache({ name: 'web' })
  runs = 0
})

afterEach(async () => {
  server?.close()
  server?.closeAllConnections()
  await cache.close()
})

async function serve(options: HttpCacheOptions, routes: (app: Express) => void): Promise<void> {
  const app = express()
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

describe('httpCache', () => {
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

  it('serves the older answer while one request makes the new one, and when that fails', async () => {
    let fail = false
    let release: () => void = () => {}
    let held = Promise.resolve()
    await serve({ ttl: '1m', staleWhileRevalidate: '1h' }, (app) => {
      app.get('/news', async (_request, response) => {
        await held
        if (fail) response.status(503).send('down')
        else response.set('Surrogate-Key', 'news front').send(`run ${runs}`)
      })
    })
    const first = await ask('/news')
    expect(first.headers['surrogate-key']).toBeUndefined()
    const { port } = server.address() as AddressInfo
    const key = `http:${JSON.stringify([`127.0.0.1:${port}`, '/news', '', []])}`
    for (const failing of [false, true]) {
      fail = failing
      held = new Promise((resolve) => {
        release = resolve
      })
      await cache.expire(key)
      const before = runs
      const maker = ask('/news')
      await until('one makes the new answer', () => runs === before + 1)
      const older = await ask('/news')
      expect(older).toMatchObject({ status: 200, body: failing ? 'run 2' : 'run 1' })
      release()
      expect(await maker).toMatchObject(failing ? { status: 503 } : { status: 200, body: 'run 2' })
    }
  })

  it('gives nobody an older answer that must be revalidated', async () => {
    let held = Promise.resolve()
    let release: () => void = () => {}
    await serve({ staleWhileRevalidate: '1h' }, (app) => {
      app.get('/strict', async (_request, response) => {
        const run = runs
        await held
        response.set('Cache-Control', 'max-age=1, must-revalidate').send(`run ${run}`)
      })
    })
    await ask('/strict')
    const end = Date.now() + 1_100
    await until('it is old', () => Date.now() > end)
    held = new Promise((resolve) => {
      release = resolve
    })
    const maker = ask('/strict')
    await until('one makes the new answer', () => runs === 2)
    const other = ask('/strict')
    await until('the other makes its own', () => runs === 3)
    release()
    expect((await maker).body).toBe('run 2')
    expect((await other).body).toBe('run 3')
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
