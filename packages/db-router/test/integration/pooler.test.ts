import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PgBouncer, startPgBouncer } from '../../../../test/servers/pgbouncer.ts'
import { createRouter, type Router } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
let poolers: readonly PgBouncer[]
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 1, logStatements: true })
  await cluster.primary.sql('create table notes (id serial primary key, body text)')
  await cluster.waitForCatchup()
  poolers = await Promise.all(cluster.nodes.map((node) => startPgBouncer(node.url)))
  const [primary = '', replica = ''] = poolers.map((pooler) => pooler.url)
  db = createRouter({
    ...PATIENT,
    primary,
    replicas: [replica],
    pooler: 'transaction',
    pool: { ...PATIENT.pool, max: 20 },
  })
  await settled(db, 1)
})

afterAll(async () => {
  await db?.close()
  await Promise.all((poolers ?? []).map((pooler) => pooler.close()))
  await cluster?.close()
})

test('reads see what was written, on the replica, each proven before it is sent', async () => {
  for (let round = 0; round < 10; round++) {
    const { rows } = await db.query("insert into notes (body) values ('a') returning id")
    const seen = await db.query('select pg_is_in_recovery() as replica from notes where id = $1', [
      rows[0]?.id,
    ])
    expect(seen.rows).toEqual([{ replica: true }])
  }
  const said = cluster.replicas[0]?.log().filter((entry) => entry.statement?.includes('from notes')) ?? []
  expect(said.length).toBe(10)
})

test('a name does not make a statement prepared, so it works for any number of callers', async () => {
  const read = (id: number) => db.query({ name: 'note', text: 'select $1::int as id', values: [id] })
  const results = await Promise.all(Array.from({ length: 100 }, (_, id) => read(id)))
  expect(results.map(({ rows }) => rows[0]?.id)).toEqual(Array.from({ length: 100 }, (_, id) => id))
})

test('transactions, read-only ones too, and timeouts work', async () => {
  await db.transaction(async (tx) => {
    await tx.query("set local statement_timeout = '50s'")
    await tx.query("insert into notes (body) values ('in a transaction')")
  })
  const replica = await db.transaction({ readOnly: true }, async (tx) => {
    const { rows } = await tx.query(
      "select pg_is_in_recovery() as replica from notes where body = 'in a transaction'",
    )
    return rows
  })
  expect(replica).toEqual([{ replica: true }])
  await expect(db.query({ text: 'select pg_sleep(60)', timeout: 200 })).rejects.toMatchObject({
    code: 'DB_ERR_TIMEOUT',
  })
})

test('state that would be left in a connection is refused', async () => {
  for (const text of ["set work_mem = '8MB'", 'listen tides', 'prepare p as select 1']) {
    await expect(db.query(text)).rejects.toMatchObject({ code: 'DB_ERR_USAGE', outcome: 'not-executed' })
  }
  const client = await db.connect()
  await expect(client.query("set work_mem = '8MB'")).rejects.toMatchObject({ code: 'DB_ERR_USAGE' })
  client.release()
  await expect(db.listen('tides', { message: () => {} })).rejects.toMatchObject({ code: 'DB_ERR_USAGE' })
})
