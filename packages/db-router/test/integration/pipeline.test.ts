import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
const routers: Router[] = []

async function router(options: Partial<RouterOptions> = {}): Promise<Router> {
  const pool = { ...PATIENT.pool, ...options.pool }
  const made = createRouter({ ...PATIENT, primary: cluster.url, pipeline: { slow: '5s' }, ...options, pool })
  routers.push(made)
  await settled(made, 0)
  return made
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 0, logStatements: true })
  await cluster.primary.sql('create table boats (id int primary key, name text)')
})

afterEach(async () => {
  await Promise.all(routers.splice(0).map((made) => made.close()))
  await cluster.primary.sql('truncate boats')
})

afterAll(() => cluster?.close())

test.each([false, true])('everybody gets the answer to what they asked, prepared: %s', async (prepare) => {
  const db = await router({ pool: { max: 2 }, prepare })
  const read = async (value: number) => {
    const { rows } = await db.query('select $1::int as value', [value])
    expect(rows).toEqual([{ value }])
  }
  const fail = async (value: number) => {
    await expect(db.query('select 1 / ($1::int - $1::int)', [value])).rejects.toMatchObject({
      code: '22012',
      outcome: 'rolled-back',
    })
  }
  const write = async (id: number) => {
    const { rowCount } = await db.query('insert into boats values ($1, $2)', [id, `boat ${id}`])
    expect(rowCount).toBe(1)
  }
  const inTransaction = async (id: number) => {
    await db.transaction(async (tx) => {
      await tx.query('update boats set name = $2 where id = $1', [id, 'renamed'])
      await tx.query('select * from boats where id = $1', [id])
    })
  }
  await Promise.all([read(0), fail(0), write(0)])
  await Promise.all([read(1), fail(1), write(1)])
  await Promise.all(
    Array.from({ length: 400 }, (_, index) =>
      Promise.all([
        read(index),
        index % 3 === 0 ? fail(index) : write(index + 2),
        index % 50 === 0 ? inTransaction(index) : undefined,
      ]),
    ),
  )
  expect(db.totalCount).toBeLessThanOrEqual(2)
  expect((await db.query('select count(*)::int as count from boats')).rows).toEqual([{ count: 268 }])
})

test('statements known to be quick share connections, one known to be slow has its own', async () => {
  const db = await router({ pool: { max: 3 }, pipeline: { slow: 200 } })
  const quick = 'select inet_client_port() as port, $1::int as value'
  const slow = 'select inet_client_port() as port, pg_advisory_xact_lock_shared(1), $1::float, pg_sleep($1)'
  await db.query(quick, [0])
  await db.query(slow, [0.5])
  const client = await db.connect()
  await client.query('begin')
  await client.query('select pg_advisory_xact_lock(1)')
  // It runs until the lock is let go.
  const running = db.query(slow, [0])
  const ports = new Set<number>()
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let read = 0; read < 10; read++) ports.add((await db.query(quick, [1])).rows[0]?.port)
    }),
  )
  await client.query('rollback')
  client.release()
  expect(ports).not.toContain((await running).rows[0]?.port)
})

test('aborting a statement that shares its connection gives up waiting and harms no other', async () => {
  const db = await router({ pool: { max: 1 } })
  const text = 'select count(*)::int as count from boats'
  await db.query(text)
  await db.query(text)
  const blocker = createRouter({ ...PATIENT, primary: cluster.url })
  routers.push(blocker)
  const client = await blocker.connect()
  await client.query('begin')
  await client.query('lock table boats in access exclusive mode')
  const controller = new AbortController()
  const doomed = db.query({ text, signal: controller.signal })
  const other = db.query({ text })
  controller.abort(new Error('the visitor left'))
  await expect(doomed).rejects.toThrow('the visitor left')
  await client.query('rollback')
  client.release()
  expect((await other).rows).toEqual([{ count: 0 }])
})

test('a repeated text is prepared once on each connection, and survives that its table changes', async () => {
  const db = await router({ pool: { max: 1 }, prepare: true, pipeline: false })
  cluster.primary.clearLog()
  const text = 'select * from boats where id = $1'
  for (let run = 0; run < 4; run++) await db.query(text, [run])
  const said = cluster.primary.log().map((entry) => entry.message.replace(/:.*/s, ''))
  expect(said.filter((message) => message.startsWith('execute'))).toEqual([
    'execute <unnamed>',
    'execute <unnamed>',
    'execute cays_1',
    'execute cays_1',
  ])
  await cluster.primary.sql('alter table boats add column berth int')
  expect((await db.query(text, [1])).fields.map((field) => field.name)).toEqual(['id', 'name', 'berth'])
  await cluster.primary.sql('alter table boats drop column berth')
})

test('more repeated texts than a connection should hold replace it', async () => {
  const db = await router({ pool: { max: 1 }, prepare: true })
  for (let text = 0; text < 520; text++) {
    for (let run = 0; run < 3; run++) await db.query(`select ${text} as value`)
  }
  const { rows } = await db.query('select count(*)::int as count from pg_prepared_statements')
  expect(rows[0]?.count).toBeLessThan(100)
})
