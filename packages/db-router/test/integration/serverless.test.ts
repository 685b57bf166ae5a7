import { tracingChannel } from 'node:diagnostics_channel'
import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router, type RouterSettings } from '../../src/index.ts'
import { PATIENT } from '../settled.ts'

const WHERE = 'select pg_is_in_recovery() as replica'

let cluster: PostgresCluster
const routers: Router[] = []

function router(options: RouterSettings = {}): Router {
  const made = createRouter({
    pool: PATIENT.pool,
    buffer: PATIENT.buffer,
    fallback: PATIENT.fallback,
    primary: cluster.url,
    replicas: cluster.urls.replicas,
    health: 'passive',
    ...options,
  })
  routers.push(made)
  return made
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 1, logStatements: true })
  await cluster.primary.sql('create table notes (body text)')
  await cluster.waitForCatchup()
})

afterEach(() => Promise.all(routers.splice(0).map((made) => made.close())))
afterAll(() => cluster?.close())

function probes(): number {
  return cluster.nodes
    .flatMap((node) => node.log())
    .filter((entry) => entry.statement?.includes('pg_is_in_recovery() as standby')).length
}

test('without statements a passive router asks no server anything', async () => {
  const db = router()
  await db.health()
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const node of cluster.nodes) node.clearLog()
  // Longer than the interval of probes: on a slow machine even fewer would come.
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  expect(probes()).toBe(0)
})

test('statements make a passive router look, so that reads find replicas', async () => {
  const db = router()
  await db.query("insert into notes values ('a')")
  await expect.poll(async () => (await db.query(WHERE)).rows[0]?.replica).toBe(true)
  await expect
    .poll(async () => {
      await db.query(WHERE)
      return probes()
    })
    .toBeGreaterThan(2)
})

test('writes of a passive router wait for a primary that is away', async () => {
  const db = router()
  await db.query(WHERE)
  await cluster.primary.stop()
  const write = expect
    .poll(
      async () =>
        await db.query("insert into notes values ('b')").then(
          () => 'written',
          () => 'failed',
        ),
    )
    .toBe('written')
  await cluster.primary.start()
  await write
})

test('observing sends reads to the primary and says where they would go', async () => {
  const db = router({ routing: 'observe', health: PATIENT.health })
  await expect.poll(async () => (await db.health()).status).toBe('up')
  const reasons: unknown[] = []
  const handlers = {
    start() {},
    end() {},
    asyncStart() {},
    asyncEnd: (message: object) =>
      void reasons.push((message as { attributes: Record<string, unknown> }).attributes['cays.reason']),
    error() {},
  }
  const channel = tracingChannel('cays:db-router:query')
  channel.subscribe(handlers)
  expect((await db.query(WHERE)).rows).toEqual([{ replica: false }])
  channel.unsubscribe(handlers)
  expect(reasons).toEqual(['observed'])
  expect(db.explain(WHERE).route).toBe('replica')
  expect(db.explain('insert into notes values (1)').route).toBe('primary')
  expect(await db.transaction({ readOnly: true }, async (tx) => (await tx.query(WHERE)).rows)).toEqual([
    { replica: false },
  ])
  expect((await db.query({ text: WHERE, route: 'replica' })).rows).toEqual([{ replica: true }])
})
