import { inspect } from 'node:util'
import { type FaultProxy, type StandaloneRedis, startFaultProxy, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createRateLimiter,
  type Decision,
  fixedWindow,
  gcra,
  type LimitError,
  LimitUnavailableError,
} from '../../src/index.ts'

let server: StandaloneRedis
let proxy: FaultProxy
const clients: Redis[] = []

beforeAll(async () => {
  server = await startRedis()
  proxy = await startFaultProxy(server.url)
})
afterAll(async () => {
  await proxy?.close()
  await server?.close()
})
beforeEach(async () => {
  await proxy.heal()
  if (server.state === 'down') await server.start()
  if (server.state === 'frozen') await server.thaw()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect()
})

function connect(url = proxy.urlOf(server.url), options = {}): Redis {
  const client = new Redis(url, { retryStrategy: () => 50, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

let prefix = 0
const policies = { api: fixedWindow({ limit: 10, per: '1h' }) }
// Long where Redis answers in the end, so that a stalled machine is not taken for a failure; short where the
// test is about an answer that never comes.
const fleet = (timeout: '20s' | '5s' | 250 = '20s') => ({ prefix: `f${++prefix}`, timeout }) as const

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 45_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass within 45 s')
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** Asks for fresh subjects until Redis decides again. */
async function recovered(check: (subject: string) => Promise<Decision>): Promise<void> {
  let subject = 0
  await until(async () => (await check(`recovery:${++subject}`)).source === 'redis')
}

describe('when Redis', () => {
  it('is down from the start: policies do what they say, changes reject', async () => {
    await proxy.refuse()
    const redis = connect()
    await using limiter = createRateLimiter({
      redis,
      ...fleet(250),
      policies: {
        local: fixedWindow({ limit: 2, per: '1h' }),
        open: gcra({ limit: 1, per: '1h', onError: 'open' }),
        closed: gcra({ limit: 9, per: '1h', onError: 'closed' }),
      },
    })
    const check = (name: 'local' | 'open' | 'closed') => limiter.check('user', { policies: [name] })
    expect((await check('local')).source).toBe('local')
    expect((await check('local')).allowed).toBe(true)
    expect(await check('local')).toMatchObject({ allowed: false, source: 'local', limitedBy: ['local'] })
    for (let call = 0; call < 5; call++)
      expect(await check('open')).toMatchObject({ allowed: true, source: 'open' })
    const closed = await check('closed')
    expect(closed).toMatchObject({
      allowed: false,
      source: 'closed',
      reason: 'unavailable',
      limitedBy: ['closed'],
    })
    expect(closed.error).toBeInstanceOf(LimitUnavailableError)
    // One closed policy decides for the whole call.
    expect((await limiter.check('other')).source).toBe('closed')
    await expect(limiter.refund('user')).rejects.toMatchObject({ retryable: true })
    await expect(limiter.block('user', '1m')).rejects.toBeInstanceOf(LimitUnavailableError)
    expect(limiter.health()).toMatchObject({ status: 'degraded' })
  })

  it('dies under load and comes back with its data: nothing rejects, and counting goes on where it stopped', async () => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet('5s'), denyCache: false, policies })
    await limiter.check('kept', { cost: 9 })
    let asking = true
    const seen = new Map<string, number>()
    const load = Array.from({ length: 8 }, async (_, lane) => {
      for (let call = 0; asking; call++) {
        const { source } = await limiter.check(`load:${lane}:${call}`)
        seen.set(source, (seen.get(source) ?? 0) + 1)
        if (call % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })
    await until(() => (seen.get('redis') ?? 0) > 100)
    await server.kill()
    await until(() => (seen.get('local') ?? 0) > 100)
    await server.start()
    const before = seen.get('redis') ?? 0
    await until(() => (seen.get('redis') ?? 0) > before + 100)
    asking = false
    await Promise.all(load)
    expect(await limiter.check('kept', { cost: 2 })).toMatchObject({ allowed: false, source: 'redis' })
    expect(await limiter.check('kept')).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('is frozen: no decision waits longer than the timeout allows, and later ones do not wait at all', async () => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet(250), policies })
    await limiter.check('user')
    await server.freeze()
    const first = await limiter.check('user')
    expect(first).toMatchObject({ source: 'local', error: { code: 'LIMIT_ERR_TIMEOUT' } })
    await limiter.check('user')
    await limiter.check('user')
    // The breaker is open now: not even a turn of the event loop passes.
    let decided = 0
    for (let user = 0; user < 100; user++) void limiter.check(`user:${user}`).then(() => decided++)
    await new Promise((resolve) => setImmediate(resolve))
    expect(decided).toBe(100)
    await server.thaw()
    await recovered((subject) => limiter.check(subject))
    expect(limiter.health().status).toBe('ok')
    // What was sent and not waited for is charged once at most: four checks were made.
    const { policies: standing } = await limiter.peek('user')
    expect(standing.api?.remaining).toBeGreaterThanOrEqual(6)
    expect(standing.api?.remaining).toBeLessThan(10)
  })

  it.each([
    ['is slow', () => proxy.set({ latency: '600ms' })],
    ['sits behind a half-open connection', () => proxy.set({ blackhole: true })],
  ])('%s: decisions are made without it until it is well again', async (_case, hurt) => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet(250), policies })
    await limiter.check('user')
    hurt()
    let call = 0
    await until(async () => (await limiter.check(`user:${++call}`)).source === 'local')
    await proxy.heal()
    proxy.cut()
    await recovered((subject) => limiter.check(subject))
  })

  it('loses every connection under load: every call is decided, and Redis decides again', async () => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet(), denyCache: false, policies })
    for (let round = 0; round < 10; round++) {
      const decisions = limiter.checkMany(
        Array.from({ length: 20 }, (_, lane) => ({ subject: `${round}:${lane}` })),
      )
      proxy.cut()
      expect((await decisions).every((decision) => decision.allowed)).toBe(true)
    }
    await recovered((subject) => limiter.check(subject))
  })

  it('restarts empty: limits start anew and the script is loaded again', async () => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet(), policies })
    await limiter.check('user', { cost: 10 })
    await server.restart({ data: 'empty' })
    await recovered((subject) => limiter.check(subject))
    expect(await limiter.check('user', { cost: 10 })).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('forgets its scripts under load: every decision is still made by it, once', async () => {
    const redis = connect(server.url)
    await using limiter = createRateLimiter({ redis, ...fleet(), denyCache: false, policies })
    const decisions: Promise<Decision>[] = []
    for (let round = 0; round < 20; round++) {
      decisions.push(limiter.check('user'))
      if (round % 5 === 0) await server.flushScripts()
    }
    const answers = await Promise.all(decisions)
    expect(answers.every((decision) => decision.source === 'redis')).toBe(true)
    expect(answers.filter((decision) => decision.allowed)).toHaveLength(10)
  })

  it('is full: what it refuses to store is decided without it', async () => {
    const redis = connect(server.url)
    await using limiter = createRateLimiter({ redis, ...fleet(), policies })
    await server.config({ maxmemory: '1mb', 'maxmemory-policy': 'noeviction' })
    try {
      expect(await limiter.check('user')).toMatchObject({
        allowed: true,
        source: 'local',
        error: { code: 'LIMIT_ERR_UNAVAILABLE' },
      })
    } finally {
      await server.config({ maxmemory: 0 })
    }
    await recovered((subject) => limiter.check(subject))
  })

  it('is a replica that takes no writes: decisions are made without it until it is a primary', async () => {
    const redis = connect(server.url)
    const operator = connect(server.url)
    await using limiter = createRateLimiter({ redis, ...fleet(), policies })
    await limiter.check('user')
    await operator.replicaof('127.0.0.1', 1)
    try {
      expect(await limiter.check('user')).toMatchObject({
        allowed: true,
        source: 'local',
        error: { code: 'LIMIT_ERR_UNAVAILABLE' },
      })
      await expect(limiter.refund('user')).rejects.toBeInstanceOf(LimitUnavailableError)
    } finally {
      await operator.replicaof('NO', 'ONE')
    }
    await recovered((subject) => limiter.check(subject))
  })

  it('is gone when a reservation is to be settled: that can be tried again, and is done once', async () => {
    const redis = connect()
    await using limiter = createRateLimiter({ redis, ...fleet('5s'), policies })
    const reserved = await limiter.reserve('user', { cost: 6 })
    const abandoned = await limiter.reserve('another')
    await limiter.check('user', { cost: 2 })
    expect(reserved.decision.source).toBe('redis')
    await proxy.refuse()
    proxy.cut()
    // Nothing is sent then. While it connects anew ioredis would keep what it is asked to send.
    await until(() => redis.status === 'reconnecting')
    await expect(reserved.commit(1)).rejects.toBeInstanceOf(LimitUnavailableError)
    await expect(abandoned.release()).rejects.toBeInstanceOf(LimitUnavailableError)
    // The end of `await using` hides no error of the work, and makes none.
    await abandoned[Symbol.asyncDispose]()
    await proxy.heal()
    await recovered((subject) => limiter.check(subject))
    await reserved.commit(1)
    await reserved.commit(1)
    expect((await limiter.peek('user')).policies.api?.remaining).toBe(7)
  })

  it('denies scripts to the user: the error says so and decisions go on', async () => {
    await server.acl('noscript', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
    const redis = connect(server.url, { username: 'noscript', password: 'secret' })
    const errors: LimitError[] = []
    await using limiter = createRateLimiter({ redis, ...fleet(), policies })
    limiter.on('error', (error) => errors.push(error))
    expect(await limiter.check('user')).toMatchObject({
      allowed: true,
      source: 'local',
      error: { code: 'LIMIT_ERR_SCRIPTING_DENIED' },
    })
    expect(errors.map(({ code }) => code)).toContain('LIMIT_ERR_SCRIPTING_DENIED')
    // A log of it names nobody: ioredis' own error carries the command with its keys.
    expect(inspect(errors, { depth: 10 })).toContain('NOPERM')
    expect(inspect(errors, { depth: 10 })).not.toContain(':user')
  })

  it('is gone for a fleet: each node goes on with its share of the limit', async () => {
    // A node counts for three heartbeats: none may be missed because the machine stood still.
    const options = {
      ...fleet(250),
      heartbeat: '1s' as const,
      policies: { api: fixedWindow({ limit: 12, per: '1h' }) },
    }
    const limiters = Array.from({ length: 3 }, () => createRateLimiter({ redis: connect(), ...options }))
    await until(async () => {
      await Promise.all(limiters.map((limiter) => limiter.peek('warm')))
      return limiters.every((limiter) => limiter.health().nodes === 3)
    })
    await proxy.refuse()
    proxy.cut()
    await until(async () => {
      const answers = await Promise.all(limiters.map((limiter) => limiter.peek('warm')))
      return answers.every((decision) => decision.source === 'local')
    })
    let admitted = 0
    for (const limiter of limiters) {
      for (let call = 0; call < 10; call++) if ((await limiter.check('user')).allowed) admitted++
    }
    expect(admitted).toBe(12)
    await Promise.all(limiters.map((limiter) => limiter.close()))
  })

  it('is gone while the limiter closes: close still ends', async () => {
    const redis = connect()
    const limiter = createRateLimiter({ redis, ...fleet(250), policies })
    await limiter.check('user')
    await server.freeze()
    const pending = limiter.check('user')
    await limiter.close()
    expect((await pending).source).toBe('local')
    await limiter.close()
  })
})
