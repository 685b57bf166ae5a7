import { type PostgresCluster, type StandaloneRedis, startPostgres, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { encodeBookmark } from '../../src/bookmark.ts'
import { createRouter, type Router, type SessionHandle } from '../../src/index.ts'
import { type RedisBookmarks, redisBookmarks } from '../../src/redis-bookmarks.ts'
import { PATIENT, settled } from '../settled.ts'

const SECRET = 'a secret of the test suite'
const READ =
  'select count(*)::int as count, bool_and(pg_is_in_recovery()) as replica from notes where body = $1'

let cluster: PostgresCluster
let server: StandaloneRedis
let redis: Redis
/** Two nodes of one app. */
let one: Router
let two: Router

beforeAll(async () => {
  ;[cluster, server] = await Promise.all([startPostgres({ replicas: 1 }), startRedis()])
  await cluster.primary.sql('create table notes (body text)')
  await cluster.waitForCatchup()
  redis = new Redis(server.url)
  const options = {
    ...PATIENT,
    wait: { budget: 20 },
    primary: cluster.url,
    replicas: cluster.urls.replicas,
    bookmark: { secret: SECRET, ttl: '10m' },
    maxStaleness: '10m',
  } as const
  one = createRouter(options)
  two = createRouter(options)
  await Promise.all([settled(one, 1), settled(two, 1)])
})

afterEach(() => cluster.replicas[0]?.resumeReplay())

afterAll(async () => {
  redis?.disconnect()
  await Promise.all([one?.close(), two?.close()])
  await Promise.all([cluster?.close(), server?.close()])
})

function users(db: Pick<Router, 'session'>, failures: unknown[] = []): RedisBookmarks {
  return redisBookmarks({
    db,
    redis,
    ttl: '10m',
    // Where Redis answers, a busy machine may take its time.
    timeout: '20s',
    failed: (error) => failures.push(error),
  })
}

test('a session of a user sees what that user wrote on another node; others go on reading from the replica', async () => {
  await cluster.waitForCatchup()
  await cluster.replicas[0]?.pauseReplay()
  await users(one).session('7', async () => await one.query("insert into notes values ('carried')"))
  const of = async (id: string) =>
    (await users(two).session(id, async () => await two.query(READ, ['carried']))).rows
  expect(await of('7')).toEqual([{ count: 1, replica: false }])
  expect(await of('8')).toEqual([{ count: 0, replica: null }])
  await cluster.replicas[0]?.resumeReplay()
  await cluster.waitForCatchup()
  await expect.poll(() => of('7')).toEqual([{ count: 1, replica: true }])
})

test('whichever node comes last, the furthest of what a user wrote is kept, and no more than that', async () => {
  const now = Date.now()
  const bookmark = (issued: number, position?: { system: string; timeline: number; lsn: number }) =>
    encodeBookmark({ issued, position }, SECRET)
  const at = (timeline: number, lsn: number) => ({ system: '7', timeline, lsn })
  const latest = bookmark(now + 5)
  const furthest = bookmark(now + 2, at(10, 2 ** 33 + 1))
  const given = [
    bookmark(now),
    bookmark(now + 1, at(9, 2 ** 40)),
    furthest,
    bookmark(now + 3, at(10, 255)),
    bookmark(now + 4, at(10, 2 ** 33)),
    latest,
  ]
  const continued: unknown[] = []
  const keep = async (id: string, text: string) => {
    const handle: SessionHandle = { wrote: true, bookmark: () => text, settle: async () => {} }
    const db = {
      session: async (options: { from?: unknown }, work: (session: SessionHandle) => unknown) => {
        continued.push(options.from)
        return await work(handle)
      },
    }
    await users(db as unknown as Router).session(id, async () => {})
  }
  for (let order = 0; order < 24; order++) {
    const shuffled = given.toSorted(() => Math.random() - 0.5)
    for (const text of shuffled) await keep(`order ${order}`, text)
    await keep(`order ${order}`, latest)
    expect([...(continued.at(-1) as string[])].sort()).toEqual([latest, furthest].sort())
  }
})

test('a user who wrote reads from a replica while the primary is away', async () => {
  await users(one).session('9', async () => await one.query("insert into notes values ('kept')"))
  await cluster.waitForCatchup()
  await cluster.primary.stop()
  try {
    const { rows } = await users(two).session('9', async () => await two.query(READ, ['kept']))
    expect(rows).toEqual([{ count: 1, replica: true }])
  } finally {
    await cluster.primary.start()
    await expect.poll(async () => (await one.health()).writable).toBe(true)
  }
})

test('while Redis is frozen sessions see all that is acknowledged, and what they write is done', async () => {
  await cluster.waitForCatchup()
  await cluster.replicas[0]?.pauseReplay()
  const failures: unknown[] = []
  const impatient = redisBookmarks({ db: two, redis, timeout: 50, failed: (error) => failures.push(error) })
  await server.freeze()
  try {
    await one.query("insert into notes values ('by a stranger')")
    const { rows } = await impatient.session('10', async () => await two.query(READ, ['by a stranger']))
    expect(rows).toEqual([{ count: 1, replica: false }])
    await impatient.session('10', async () => await two.query("insert into notes values ('done anyway')"))
  } finally {
    await server.thaw()
  }
  expect(String(failures[0])).toContain('did not answer within 50 ms')
  expect(failures.length).toBe(3)
  const stored = await cluster.primary.sql("select count(*) as count from notes where body = 'done anyway'")
  expect(stored).toEqual([{ count: '1' }])
})

test('an error of the work is the caller’s, and what was written before it is remembered', async () => {
  await cluster.waitForCatchup()
  await cluster.replicas[0]?.pauseReplay()
  const failing = users(one).session('11', async () => {
    await one.query("insert into notes values ('before the error')")
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  const { rows } = await users(two).session('11', async () => await two.query(READ, ['before the error']))
  expect(rows).toEqual([{ count: 1, replica: false }])
})

test('a session belongs to somebody, and options that do not exist are refused', async () => {
  await expect(users(one).session('', async () => {})).rejects.toMatchObject({ code: 'DB_ERR_USAGE' })
  expect(() => redisBookmarks({ db: one, redis, timeut: 1 } as never)).toThrow('did you mean "timeout"')
})
