import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type StandaloneRedis, startRedis } from '../../src/start-redis.ts'

describe.each([
  ['ioredis 6', Redis],
  ['ioredis 5', Redis5 as unknown as typeof Redis],
])('one Redis server, seen by %s', (_, Client) => {
  let redis: StandaloneRedis
  let client: Redis

  beforeAll(async () => {
    redis = await startRedis()
    client = new Client(redis.url, { retryStrategy: () => 20 })
    client.on('error', () => {})
  })

  afterAll(async () => {
    client.disconnect()
    await redis.close()
  })

  it('keeps every acknowledged write through SIGKILL, and comes back as another run', async () => {
    await client.flushall()
    await Promise.all(Array.from({ length: 500 }, (_, index) => client.set(`key ${index}`, index)))
    const before = (await redis.info()).get('run_id')
    await redis.restart()
    expect(await client.dbsize()).toBe(500)
    expect((await redis.info()).get('run_id')).not.toBe(before)
  })

  it('comes back empty when asked to', async () => {
    await client.set('key', 'value')
    await redis.restart({ data: 'empty' })
    expect(await client.dbsize()).toBe(0)
  })

  it('loses exactly the last entries, a script with all its writes counting as one', async () => {
    await client.flushall()
    await client.set('first', 1)
    await client.eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)", 2, 'second', 'third')
    await client.multi().set('fourth', 1).set('fifth', 1).exec()
    await client.set('sixth', 1)
    await redis.restart({ data: { loseLast: 2 } })
    expect((await client.keys('*')).sort()).toEqual(['first', 'second', 'third'])
    await redis.restart({ data: { loseLast: 1 } })
    expect(await client.keys('*')).toEqual(['first'])
  })

  it('refuses connections while it is down', async () => {
    await redis.kill()
    expect(redis.state).toBe('down')
    await expect(redis.command('PING')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(redis.freeze()).rejects.toMatchObject({ code: 'TESTKIT_ERR_STATE' })
    await redis.start()
    expect(await client.ping()).toBe('PONG')
    await expect(redis.start()).rejects.toMatchObject({ code: 'TESTKIT_ERR_STATE' })
  })

  it('accepts connections and answers nothing while it is frozen', async () => {
    const mute = new Client(redis.url, { commandTimeout: 100, lazyConnect: true, retryStrategy: null })
    mute.on('error', () => {})
    await mute.connect()
    await redis.freeze()
    await expect(mute.ping()).rejects.toThrow('timed out')
    await redis.thaw()
    expect(await client.ping()).toBe('PONG')
    mute.disconnect()
  })

  it('forgets scripts', async () => {
    const sha = (await client.script('LOAD', 'return 1')) as string
    expect(await client.evalsha(sha, 0)).toBe(1)
    await redis.flushScripts()
    await expect(client.evalsha(sha, 0)).rejects.toThrow('NOSCRIPT')
  })

  it('breaks the connections of one type and counts them', async () => {
    const subscriber = new Client(redis.url, { retryStrategy: null })
    const ended = new Promise((resolve) => subscriber.once('end', resolve))
    await subscriber.subscribe('channel')
    expect(await redis.killClients('pubsub')).toBe(1)
    await ended
    expect(await client.ping()).toBe('PONG')
    expect(await redis.killClients('normal')).toBe(1)
    expect(await client.ping()).toBe('PONG')
  })

  it('evicts keys', async () => {
    await client.mset('one', 1, 'two', 2)
    expect(await redis.evict(['one', 'none'])).toBe(1)
    expect(await client.mget('one', 'two')).toEqual([null, '2'])
  })

  it('keeps settings and users through restarts', async () => {
    await redis.config({ maxmemory: '64mb', 'notify-keyspace-events': 'KEA' })
    await redis.acl('app', 'on', '>secret-word', '~*', '&*', '+@all', '-@scripting')
    await redis.restart()
    expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(64 * 1024 * 1024)])
    const app = new Client(redis.url, { username: 'app', password: 'secret-word' })
    await expect(app.eval('return 1', 0)).rejects.toThrow('NOPERM')
    app.disconnect()
  })
})

it('asks for the password, whatever characters it holds', async () => {
  const password = 'a b"c\\d@/:%'
  await using guarded = await startRedis({ password })
  const stranger = new Redis({ port: guarded.port, retryStrategy: null })
  stranger.on('error', () => {})
  await expect(stranger.get('key')).rejects.toThrow('NOAUTH')
  const friend = new Redis(guarded.url)
  expect(await friend.set('key', 'value')).toBe('OK')
  friend.disconnect()
  stranger.disconnect()
})

it('starts many at once on ports of their own', async () => {
  const many = await Promise.all(Array.from({ length: 8 }, () => startRedis()))
  expect(new Set(many.map(({ port }) => port)).size).toBe(8)
  await Promise.all(many.map((each) => each.close()))
  expect(many.map(({ state }) => state)).toEqual(Array.from({ length: 8 }, () => 'down'))
})

it('says how to install Redis when there is none', async () => {
  const { PATH, REDIS_SERVER } = process.env
  process.env.REDIS_SERVER = '/nowhere/redis-server'
  try {
    await expect(startRedis()).rejects.toMatchObject({
      code: 'TESTKIT_ERR_SERVER_MISSING',
      message: expect.stringMatching(/install it with "(apt-get|brew) install .*redis.*REDIS_SERVER/),
    })
  } finally {
    process.env.PATH = PATH
    if (REDIS_SERVER === undefined) delete process.env.REDIS_SERVER
    else process.env.REDIS_SERVER = REDIS_SERVER
  }
})
