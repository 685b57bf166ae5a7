import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

/** Statements aborted at any moment of their life, each beside one that is not. */
const CANCELS = Number(process.env.CAYS_CANCELS ?? 10_000)

let cluster: PostgresCluster
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 1 })
  await cluster.primary.sql('create table done (id int primary key)')
  await cluster.waitForCatchup()
  db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: [...cluster.urls.replicas],
    pool: { ...PATIENT.pool, max: 4 },
  })
  await settled(db, 1)
})

afterAll(async () => {
  await db?.close()
  await cluster?.close()
})

async function running(marker: string): Promise<number> {
  const counts = await Promise.all(
    cluster.nodes.map((node) =>
      node.sql(
        `select count(*) as count from pg_stat_activity where state = 'active' and query like '%${marker}%' and pid <> pg_backend_pid()`,
      ),
    ),
  )
  return counts.reduce((sum, [row]) => sum + Number(row?.count), 0)
}

test('aborting a read rejects with the reason at once and stops it on its server', async () => {
  const controller = new AbortController()
  const read = db.query({
    text: "select pg_sleep(60), 'marker-read'",
    route: 'replica',
    signal: controller.signal,
  })
  await expect.poll(() => running('marker-read')).toBe(1)
  controller.abort(new Error('the visitor left'))
  await expect(read).rejects.toThrow('the visitor left')
  await expect.poll(() => running('marker-read')).toBe(0)
  expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('aborting a write stops it on the primary and nothing of it stays', async () => {
  const controller = new AbortController()
  const write = db.query({
    text: 'insert into done select g from generate_series(1, 5) g, pg_sleep(60) /* marker-write */',
    signal: controller.signal,
  })
  await expect.poll(() => running('marker-write')).toBe(1)
  controller.abort(new Error('the visitor left'))
  await expect(write).rejects.toThrow('the visitor left')
  await expect.poll(() => running('marker-write')).toBe(0)
  expect((await db.query('select count(*)::int as count from done')).rows[0]?.count).toBe(0)
})

test('a statement that has not started when aborted never starts', async () => {
  const signal = AbortSignal.abort(new Error('too late'))
  await expect(db.query({ text: 'insert into done values (1)', signal })).rejects.toThrow('too late')
  expect((await db.query('select count(*)::int as count from done')).rows[0]?.count).toBe(0)
})

test('a timeout cancels the statement on the server', async () => {
  const slow = db.query({ text: "select pg_sleep(60), 'marker-timeout'", timeout: 200 })
  await expect(slow).rejects.toMatchObject({ code: 'DB_ERR_TIMEOUT', outcome: 'rolled-back' })
  await expect.poll(() => running('marker-timeout')).toBe(0)
})

test('aborting a statement of a checked-out client leaves the client usable', async () => {
  const client = await db.connect()
  await client.query('BEGIN')
  await client.query('ROLLBACK')
  const slow = { text: 'select pg_sleep(60)', timeout: 200 }
  await expect(client.query(slow as never)).rejects.toMatchObject({ code: 'DB_ERR_TIMEOUT' })
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  client.release()
})

test('a cancelled statement never takes another one with it', { timeout: 60_000 + CANCELS * 6 }, async () => {
  let hit = 0
  let cancelled = 0
  const seed = Math.floor(Math.random() * 2 ** 31)
  console.log(`seed ${seed}`)
  let state = seed
  const random = () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
  await Promise.all(
    Array.from({ length: 16 }, async (_, worker) => {
      for (let round = 0; round < CANCELS / 8; round++) {
        if ((worker + round) % 2 === 0) {
          const controller = new AbortController()
          const doomed = db.query({
            text: 'select pg_sleep(0.005)',
            route: 'primary',
            signal: controller.signal,
          })
          setTimeout(() => controller.abort('stop'), random() * 8)
          await doomed.catch(() => cancelled++)
        } else {
          await db.query({ text: 'select pg_sleep(0.002)', route: 'primary' }).catch(() => hit++)
        }
      }
    }),
  )
  expect(hit).toBe(0)
  expect(cancelled).toBeGreaterThan(0)
})

test('closing waits for what runs and refuses what comes after', async () => {
  const short = createRouter({ primary: cluster.url })
  const running = short.query('select pg_sleep(0.2), 1 as one')
  const closing = short.close()
  await expect(short.query('select 1')).rejects.toMatchObject({
    code: 'DB_ERR_CLOSED',
    outcome: 'not-executed',
  })
  expect((await running).rows[0]?.one).toBe(1)
  await closing
  await short.close()
  await expect(short.end()).resolves.toBeUndefined()
})
