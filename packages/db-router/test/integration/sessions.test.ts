import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { encodeBookmark } from '../../src/bookmark.ts'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

const SECRET = 'a secret of the test suite'
const COUNT = 'select count(*)::int as count, pg_is_in_recovery() as replica from notes'

let cluster: PostgresCluster
const routers: Router[] = []

async function router(options: Partial<RouterOptions> = {}): Promise<Router> {
  const made = createRouter({
    ...PATIENT,
    // Reads that no replica can serve go to the primary without much ado.
    wait: { budget: 50 },
    primary: cluster.url,
    replicas: [...cluster.urls.replicas],
    bookmark: { secret: SECRET },
    ...options,
  })
  routers.push(made)
  await settled(made, 2)
  return made
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2, logStatements: true })
  await cluster.primary.sql('create table notes (id serial, body text)')
  await cluster.waitForCatchup()
})

afterEach(async () => {
  await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
  await Promise.all(cluster.replicas.map((replica) => replica.lag(0)))
  await Promise.all(routers.splice(0).map((made) => made.close()))
})

afterAll(() => cluster?.close())

async function pauseAll() {
  await cluster.waitForCatchup()
  await Promise.all(cluster.replicas.map((replica) => replica.pauseReplay()))
}

test('a lone process sees its own writes though every replica stands still', async () => {
  const db = await router()
  const { rows: before } = await db.query(COUNT)
  await pauseAll()
  await db.query("insert into notes (body) values ('seen')")
  const { rows } = await db.query(COUNT)
  expect(rows[0]).toEqual({ count: before[0]?.count + 1, replica: false })
  expect((await db.query({ text: COUNT, consistency: 'eventual' })).rows[0]).toEqual({
    count: before[0]?.count,
    replica: true,
  })
})

test('reads go back to a replica as soon as it has what the session wrote', async () => {
  const db = await router({ wait: PATIENT.wait })
  await db.query("insert into notes (body) values ('waited for')")
  expect((await db.query(COUNT)).rows[0]?.replica).toBe(true)
})

test('a read waits for a replica within its budget', async () => {
  const db = await router({ wait: PATIENT.wait })
  await Promise.all(cluster.replicas.map((replica) => replica.lag('300ms')))
  const { rows: before } = await db.query({ text: COUNT, consistency: 'strong' })
  await db.query("insert into notes (body) values ('late')")
  const { rows } = await db.query(COUNT)
  expect(rows[0]).toEqual({ count: before[0]?.count + 1, replica: true })
})

test('instead of the primary a read can fail when no replica catches up', async () => {
  const db = await router({ wait: { budget: 20, otherwise: 'error' } })
  await pauseAll()
  await db.query("insert into notes (body) values ('out of reach')")
  await expect(db.query(COUNT)).rejects.toMatchObject({
    code: 'DB_ERR_NOT_CAUGHT_UP',
    outcome: 'not-executed',
  })
})

test('a session is bound by its own writes, not by those of others', async () => {
  const db = await router()
  await pauseAll()
  await db.session(async () => {
    await db.query("insert into notes (body) values ('of a session')")
    expect((await db.query(COUNT)).rows[0]?.replica).toBe(false)
  })
  await db.session(async () => {
    expect((await db.query(COUNT)).rows[0]?.replica).toBe(true)
  })
  // Outside of sessions the process must see whatever it wrote.
  expect((await db.query(COUNT)).rows[0]?.replica).toBe(false)
})

test('a transaction counts as a write of its session', async () => {
  const db = await router()
  await pauseAll()
  await db.session(async () => {
    await db.transaction(async (tx) => {
      await tx.query("insert into notes (body) values ('in a transaction')")
    })
    expect((await db.query(COUNT)).rows[0]?.replica).toBe(false)
  })
})

test('a bookmark carries a session to another process', async () => {
  const one = await router()
  const two = await router()
  await pauseAll()
  const bookmark = await one.session(async (session) => {
    await one.query("insert into notes (body) values ('carried')")
    return session.bookmark()
  })
  await two.session({ from: bookmark }, async () => {
    const { rows } = await two.query(
      "select pg_is_in_recovery() as replica from notes where body = 'carried'",
    )
    expect(rows).toEqual([{ replica: false }])
  })
})

test('the router gives the bookmark of the session it is asked in, and of the process outside of any', async () => {
  const one = await router()
  const two = await router()
  await pauseAll()
  const seenFrom = async (from: string, body: string) =>
    await two.session({ from }, async () => {
      const { rows } = await two.query({ text: 'select 1 from notes where body = $1', values: [body] })
      return rows.length
    })
  const inside = await one.session(async () => {
    await one.query("insert into notes (body) values ('asked inside')")
    return one.bookmark()
  })
  expect(await seenFrom(inside, 'asked inside')).toBe(1)
  await one.query("insert into notes (body) values ('asked outside')")
  expect(await seenFrom(one.bookmark(), 'asked outside')).toBe(1)
})

test('a bookmark with a position is met by a replica that has passed it', async () => {
  const one = await router()
  const two = await router({ wait: PATIENT.wait })
  const bookmark = await one.session(async (session) => {
    await one.query("insert into notes (body) values ('passed')")
    await one.query(COUNT)
    return session.bookmark()
  })
  await two.session({ from: bookmark }, async () => {
    const { rows } = await two.query("select pg_is_in_recovery() as replica from notes where body = 'passed'")
    expect(rows).toEqual([{ replica: true }])
  })
})

test('a connection that is younger than what is known of its replica proves its position ahead of the read', async () => {
  const db = await router({ wait: PATIENT.wait, pool: { ...PATIENT.pool, maxUses: 1 } })
  await db.query("insert into notes (body) values ('proven')")
  await db.query(COUNT)
  for (const node of cluster.nodes) node.clearLog()
  const read = "select pg_is_in_recovery() as replica from notes where body = 'proven'"
  expect((await db.query(read)).rows).toEqual([{ replica: true }])
  const said = cluster.nodes.flatMap((node) => node.log().filter((entry) => entry.statement))
  const backend = said.find((entry) => entry.statement === read)?.pid
  expect(said.filter((entry) => entry.pid === backend).map((entry) => entry.statement)).toEqual([
    'select pg_last_wal_replay_lsn()::text as lsn',
    read,
  ])
})

test('a replica that is not known to have what a bookmark names proves it in the round trip of the read itself', async () => {
  const one = await router({ wait: PATIENT.wait })
  // Nothing but the read asks the replicas.
  const two = await router({ wait: PATIENT.wait, health: { ...PATIENT.health, interval: '1h' } })
  const bookmark = await one.session(async (session) => {
    await one.query("insert into notes (body) values ('unknown there')")
    await one.query(COUNT)
    return session.bookmark()
  })
  await one.close()
  await cluster.waitForCatchup()
  for (const node of cluster.nodes) node.clearLog()
  const read = "select pg_is_in_recovery() as replica from notes where body = 'unknown there'"
  await two.session({ from: bookmark }, async () => {
    expect((await two.query(read)).rows).toEqual([{ replica: true }])
  })
  const said = cluster.replicas.flatMap((node) => node.log().filter((entry) => entry.statement))
  expect(said.map((entry) => entry.statement)).toEqual(['select pg_last_wal_replay_lsn()::text as lsn', read])
  expect(new Set(said.map((entry) => entry.pid)).size).toBe(1)
})

test('a forged bookmark is ignored', async () => {
  const db = await router()
  await pauseAll()
  const bookmark = await db.session(async (session) => {
    await db.query("insert into notes (body) values ('forged')")
    return session.bookmark()
  })
  await db.session({ from: `${bookmark.slice(0, -1)}${bookmark.endsWith('A') ? 'B' : 'A'}` }, async () => {
    expect((await db.query(COUNT)).rows[0]?.replica).toBe(true)
  })
})

test('a bookmark of another database is ignored', async () => {
  const db = await router()
  await pauseAll()
  const position = { system: '7', timeline: 99, lsn: 2 ** 40 }
  const from = encodeBookmark({ issued: Date.now(), position }, SECRET)
  await db.session({ from }, async () => {
    expect((await db.query(COUNT)).rows[0]?.replica).toBe(true)
  })
})

test('a replica staler than the limit serves nothing, and serves again when it has caught up', async () => {
  const db = await router({ maxStaleness: 700, health: { ...PATIENT.health, interval: 50 } })
  await pauseAll()
  await cluster.primary.sql("insert into notes (body) values ('stale')")
  const eventual = { text: COUNT, consistency: 'eventual' } as const
  await expect.poll(async () => (await db.query(eventual)).rows[0]?.replica).toBe(false)
  await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
  await expect.poll(async () => (await db.query(eventual)).rows[0]?.replica).toBe(true)
})

test('a bounded read takes no replica that may be staler than the call allows, whatever its session wrote', async () => {
  const db = await router({ health: { ...PATIENT.health, interval: 50 } })
  const bounded = async (maxStaleness: '200ms' | '10s' | '1h') =>
    (await db.query({ text: COUNT, consistency: 'bounded', maxStaleness })).rows[0]?.replica
  await pauseAll()
  await db.query("insert into notes (body) values ('bounded')")
  // It does not wait for what the session wrote.
  expect(await bounded('1h')).toBe(true)
  await expect.poll(() => bounded('200ms')).toBe(false)
  await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
  await expect.poll(() => bounded('10s')).toBe(true)
})

test('the middleware carries a write to the next request on another node', async () => {
  const nodes = await Promise.all(
    [await router(), await router()].map(async (db) => {
      const middleware = db.middleware({ header: 'X-Bookmark' })
      const server = createServer((request, response) => {
        middleware(request, response, async () => {
          if (request.method === 'POST') await db.query("insert into notes (body) values ('by request')")
          const { rows } = await db.query(
            "select count(*)::int as count, bool_and(pg_is_in_recovery()) as replica from notes where body = 'by request'",
          )
          response.end(JSON.stringify(rows[0]))
        })
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
    }),
  )
  try {
    await pauseAll()
    const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    const quiet = await fetch(one.url)
    expect(quiet.headers.get('set-cookie')).toBeNull()
    const posted = await fetch(one.url, { method: 'POST' })
    const cookie = posted.headers.get('set-cookie')
    expect(cookie).toMatch(/^cays_bookmark=v1\.[^;]+; Max-Age=30; Path=\/; HttpOnly; SameSite=lax$/)
    const header = posted.headers.get('x-bookmark') ?? ''
    expect(header).toBe(cookie?.match(/=(.*?);/)?.[1])
    const called = await fetch(two.url, { headers: { 'x-bookmark': header } })
    expect(await called.json()).toEqual({ count: 1, replica: false })
    const followed = await fetch(two.url, { headers: { cookie: `a=b; ${cookie?.split(';')[0]}` } })
    expect(await followed.json()).toEqual({ count: 1, replica: false })
    const stranger = await fetch(two.url)
    expect(await stranger.json()).toMatchObject({ count: 0 })
  } finally {
    for (const { server } of nodes) server.close()
  }
})
