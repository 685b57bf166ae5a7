import { once } from 'node:events'
import { request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import express, { type Express } from 'express'
import express4 from 'express-4'
import session, { type SessionData } from 'express-session'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Cache, createCache } from '../../src/index.ts'
import { type SessionStore, sessionStore } from '../../src/session.ts'
import { patient, until } from '../fleet.ts'

declare module 'express-session' {
  interface SessionData {
    user: number
    since: Date
    views: number
  }
}

let server: StandaloneRedis
let redis: Redis
let nodes: readonly Node[]
let serial = 0

interface Node {
  readonly cache: Cache
  readonly store: SessionStore
  readonly http: Server
  /** Requests to `/slow` wait here. */
  release: () => void
  waiting: number
}

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
  redis.on('error', () => {})
})

afterAll(async () => {
  redis?.disconnect()
  await server?.close()
})

/** Two processes' worth of the same app, one on each line of Express. */
beforeEach(async () => {
  const name = `sessions${++serial}`
  nodes = await Promise.all([startNode(name, express), startNode(name, express4)])
})

afterEach(async () => {
  for (const { http } of nodes) {
    http.close()
    http.closeAllConnections()
  }
  await Promise.all(nodes.map(({ cache }) => cache.close()))
})

async function startNode(name: string, framework: () => Express): Promise<Node> {
  const cache = createCache({ name, redis, sync: { maxStaleness: '1h' }, l2: patient })
  const store = sessionStore(cache, { user: ({ user }) => user })
  const app = framework()
  app.use(
    session({
      store,
      secret: 'only a test',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 3_600_000 },
    }),
  )
  app.post('/login/:user', (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error)
      request.session.user = Number(request.params.user)
      request.session.since = new Date(0)
      response.json({ id: request.sessionID })
    })
  })
  app.post('/logout', (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.json({})))
  })
  app.get('/me', (request, response) => {
    const { user, since, views } = request.session
    response.json({ user, views, date: since instanceof Date })
  })
  app.post('/view', async (request, response) => {
    const { views = 0 } = request.session
    if (request.query.slow !== undefined) {
      node.waiting++
      await new Promise<void>((resolve) => {
        node.release = resolve
      })
    }
    request.session.views = views + 1
    response.json({ views: views + 1 })
  })
  app.use(((error, _request, response, _next) => {
    response.status(503).json({ code: error.code })
  }) satisfies express.ErrorRequestHandler)
  const http = app.listen(0, '127.0.0.1')
  const node: Node = { cache, store, http, release: () => {}, waiting: 0 }
  await once(http, 'listening')
  // Changes reach the other node by pub/sub alone: nothing else would within the hour.
  await cache.get('warm')
  await until('pub/sub is up', () => cache.health().redis?.subscribed === true)
  return node
}

interface Answer {
  readonly status: number
  readonly cookie: string | undefined
  readonly body: Record<string, unknown>
}

async function ask(node: Node | undefined, method: string, path: string, cookie = ''): Promise<Answer> {
  if (!node) throw new Error('no such node')
  const { port } = node.http.address() as AddressInfo
  const sent = request({ host: '127.0.0.1', port, path, method, headers: cookie ? { cookie } : {} })
  sent.end()
  const [response] = await once(sent, 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  const [set] = response.headers['set-cookie'] ?? []
  return { status: response.statusCode, cookie: set?.split(';')[0], body: JSON.parse(text) }
}

async function login(user: number): Promise<string> {
  const { cookie = '' } = await ask(nodes[0], 'POST', `/login/${user}`)
  expect(cookie).not.toBe('')
  return cookie
}

const userOf = async (node: Node | undefined, cookie: string) => (await ask(node, 'GET', '/me', cookie)).body

/** Both nodes have heard of what ended the session. */
async function expectEnded(cookie: string): Promise<void> {
  expect((await userOf(nodes[0], cookie)).user).toBeUndefined()
  await until('the other node has heard', async () => (await userOf(nodes[1], cookie)).user === undefined)
}

describe('sessions of express-session in a cache', () => {
  it('begin on one node, go on on the other, and keep the types of their values', async () => {
    const cookie = await login(7)
    expect(await userOf(nodes[1], cookie)).toEqual({ user: 7, date: true })
    expect((await ask(nodes[1], 'POST', '/view', cookie)).body).toEqual({ views: 1 })
    await until('the other node has heard', async () => (await userOf(nodes[0], cookie)).views === 1)
    const keys = await redis.keys('*')
    const id = decodeURIComponent(cookie).slice('connect.sid=s:'.length).split('.')[0] ?? ''
    expect(id.length).toBeGreaterThan(20)
    expect(keys.some((key) => key.includes(id))).toBe(false)
  })

  it('end on all nodes by logout, by session and by user, and leave the others alone', async () => {
    const cookies = await Promise.all([login(1), login(2), login(3), login(3), login(4)])
    for (const cookie of cookies) expect((await userOf(nodes[1], cookie)).user).toBeTypeOf('number')
    const [first = '', second = '', third = '', fourth = '', last = ''] = cookies
    await ask(nodes[0], 'POST', '/logout', first)
    await expectEnded(first)
    const id = decodeURIComponent(second).slice('connect.sid=s:'.length).split('.')[0] ?? ''
    expect(await nodes[0]?.store.revoke(id)).toBe('fleet')
    await expectEnded(second)
    expect(await nodes[0]?.store.revokeUser(3)).toBe('fleet')
    await expectEnded(third)
    await expectEnded(fourth)
    expect((await userOf(nodes[1], last)).user).toBe(4)
    expect(await nodes[0]?.store.revokeAll()).toBe('fleet')
    await expectEnded(last)
    // Whoever signs in again is in.
    expect((await userOf(nodes[1], await login(3))).user).toBe(3)
  })

  it('that are too large for Redis are refused, and stay what they were on every node', async () => {
    const [one, two] = nodes
    if (!one || !two) throw new Error('two nodes')
    const id = 'a session that grows'
    const write = (session: SessionData) =>
      new Promise<unknown>((resolve) => one.store.set(id, session, resolve))
    const read = (node: Node) =>
      new Promise<SessionData | null | undefined>((resolve, reject) => {
        node.store.get(id, (error, session) => (error ? reject(error) : resolve(session)))
      })
    expect(await write({ cookie: { originalMaxAge: 3_600_000 }, views: 1 } as SessionData)).toBeUndefined()
    const session = await read(one)
    if (!session) throw new Error('it is there')
    Object.assign(session, { views: 2, basket: 'x'.repeat(2 ** 20) })
    expect(await write(session)).toMatchObject({ code: 'CACHE_ERR_TOO_LARGE', retryable: false })
    for (const node of [one, two]) {
      const stored = await read(node)
      expect(stored?.views).toBe(1)
      expect(stored).not.toHaveProperty('basket')
    }
  })

  for (const how of ['session', 'user'] as const) {
    it(`stay ended when a request that was under way writes them back, revoked by ${how}`, async () => {
      const cookie = await login(9)
      const [one, two] = nodes
      if (!one || !two) throw new Error('two nodes')
      const slow = ask(two, 'POST', '/view?slow', cookie)
      await until('it is under way', () => two.waiting === 1)
      if (how === 'user') await one.store.revokeUser(9)
      else await ask(one, 'POST', '/logout', cookie)
      two.release()
      expect((await slow).body).toEqual({ views: 1 })
      await expectEnded(cookie)
      expect(await userOf(one, cookie)).toEqual({ date: false })
    })
  }

  it('are not written back by a request that changed nothing', async () => {
    const cookie = await login(5)
    const before = await redis.info('commandstats')
    for (let i = 0; i < 5; i++) await userOf(nodes[0], cookie)
    const evals = (text: string) => Number(/cmdstat_set:calls=(\d+)/.exec(text)?.[1] ?? 0)
    expect(evals(await redis.info('commandstats'))).toBe(evals(before))
  })

  it('are an error while Redis is away and they are not in memory, and no sign-in is lost in silence', async () => {
    const [one] = nodes
    const cache = createCache({ name: 'away', redis, l2: { timeout: 100, failures: 1 } })
    try {
      const store = sessionStore(cache)
      await cache.get('warm')
      await server.freeze()
      const error = await new Promise((resolve) => store.get('unknown', resolve))
      expect(error).toMatchObject({ code: 'CACHE_ERR_REDIS' })
      const data = { cookie: { originalMaxAge: null } } as session.SessionData
      expect(await new Promise((resolve) => store.set('id', data, resolve))).toMatchObject({
        code: 'CACHE_ERR_REDIS',
      })
      expect(await new Promise((resolve) => store.destroy('id', resolve))).toMatchObject({
        code: 'CACHE_ERR_REDIS',
      })
    } finally {
      await server.thaw()
      await cache.close()
    }
    await until('the nodes are well', () => one?.cache.health().status === 'ok')
  })

  it('end with their cookie, or when nobody used them for `idle`, or after `lifetime`', async () => {
    const cache = createCache({ name: 'times', redis, l2: patient })
    try {
      const store = sessionStore(cache, { idle: '1h', lifetime: '2h' })
      const set = (id: string, cookie: object) =>
        new Promise((resolve) => store.set(id, { cookie } as session.SessionData, resolve))
      await set('browser', { originalMaxAge: null, expires: null })
      await set('long', { originalMaxAge: 86_400_000, expires: new Date(Date.now() + 86_400_000) })
      await set('over', { originalMaxAge: 1, expires: new Date(Date.now() - 1) })
      const left = async (part: string) => {
        const keys = await redis.keys(`cays:cache:{times@1:session:*${part}}`)
        const times = await Promise.all(keys.map((key) => redis.pttl(key)))
        const hours = times.map((time) => Math.round(time / 3_600_000))
        return hours.filter((time) => time > 0).sort((a, b) => a - b)
      }
      expect(await left(':expiry')).toEqual([1, 24])
      expect(await left(':stamp')).toEqual([2, 2, 2])
      const get = (id: string) =>
        new Promise((resolve) => store.get(id, (_error, data) => resolve(data ?? undefined)))
      expect(await get('browser')).toBeDefined()
      await until('it is over', async () => (await get('over')) === undefined)
    } finally {
      await cache.close()
    }
  })

  it('refuses wrong options at once', () => {
    const [one] = nodes
    if (!one) throw new Error('no node')
    for (const bad of [{ ttl: 1 }, { idle: 'soon' }, { user: 1 }]) {
      expect(() => sessionStore(one.cache, bad as never)).toThrow(
        expect.objectContaining({ code: 'CACHE_ERR_OPTION' }),
      )
    }
  })
})
