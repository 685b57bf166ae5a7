import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRouter } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
let stranger: PostgresCluster

beforeAll(async () => {
  // Clusters of one version come from one template, and are the same system.
  ;[cluster, stranger] = await Promise.all([
    startPostgres({ replicas: 1 }),
    startPostgres({ replicas: 0, version: 15 }),
  ])
})

afterAll(() => Promise.all([cluster?.close(), stranger?.close()]))

test('a server of another database system is not used, whatever it says', async () => {
  await using db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: [stranger.url, ...cluster.urls.replicas],
  })
  await settled(db, 1)
  await expect.poll(() => db.topology()[1]?.health).toBe('down')
  expect(db.topology().map(({ primary }) => primary)).toEqual([true, false, false])
})

test('reads and writes work on Postgres 15 as on the newest', async () => {
  await using db = createRouter({ ...PATIENT, primary: stranger.url })
  await db.query('create table notes (body text)')
  await db.query("insert into notes values ('fifteen')")
  expect((await db.query('select body from notes')).rows).toEqual([{ body: 'fifteen' }])
})
