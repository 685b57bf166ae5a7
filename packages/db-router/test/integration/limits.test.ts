import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
const routers: Router[] = []

async function router(user: string, options: Partial<RouterOptions> = {}): Promise<Router> {
  const as = (url: string) => url.replace('postgres@', `${user}@`)
  const made = createRouter({
    ...PATIENT,
    primary: as(cluster.url),
    replicas: cluster.urls.replicas.map(as),
    ...options,
  })
  routers.push(made)
  await settled(made, 1)
  return made
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 1 })
  await cluster.primary.sql('create role crowded login connection limit 3')
  await cluster.waitForCatchup()
})

afterEach(() => Promise.all(routers.splice(0).map((made) => made.close())))
afterAll(() => cluster?.close())

test('a plain role sees enough to route and to verify', async () => {
  const db = await router('crowded')
  expect(await db.health()).toMatchObject({ status: 'up', writable: true })
  expect((await db.query('select current_user, pg_is_in_recovery() as replica')).rows).toEqual([
    { current_user: 'crowded', replica: true },
  ])
})

test('a role that may not ask for the identity of the system can do without', async () => {
  await cluster.primary.sql('revoke execute on function pg_control_system() from public')
  // A read that tidies up after it would write log that nobody flushes, so that replicas seem to be behind for 15 s.
  await cluster.primary.sql('vacuum pg_proc')
  await cluster.primary.sql('create table flushed ()')
  await cluster.waitForCatchup()
  const db = await router('crowded')
  await db.query('create temp table mine (id int)')
  expect((await db.query('select pg_is_in_recovery() as replica')).rows).toEqual([{ replica: true }])
  await cluster.primary.sql('grant execute on function pg_control_system() to public')
})

test('a server without free connection slots is waited for, not taken for dead', async () => {
  const db = await router('crowded', { pool: { ...PATIENT.pool, max: 6 } })
  const slow = () =>
    db.query({ text: 'select count(*) from generate_series(1, 1000)', consistency: 'eventual' })
  const results = await Promise.all(Array.from({ length: 12 }, slow))
  expect(results.length).toBe(12)
  expect(db.topology().map((server) => server.health)).toEqual(['up', 'up'])
})

test('a pool without a free connection fails in time, as not executed', async () => {
  const db = await router('postgres', { pool: { max: 1, connectionTimeoutMillis: 200 } })
  // On a busy machine the only connection may need more than one try to open.
  const client = await db.connect()
  await vi.waitFor(() => client.query('begin'), { timeout: 30_000 })
  await expect(db.query({ text: 'create table never (id int)' })).rejects.toMatchObject({
    code: 'DB_ERR_UNAVAILABLE',
    outcome: 'not-executed',
  })
  await client.query('rollback')
  client.release()
})

test('servers that refuse the client are named as the cause when there is no primary', async () => {
  const wrong = cluster.url.replace(/\/[^/]*$/, '/nowhere')
  const db = createRouter({ ...PATIENT, primary: wrong, buffer: { window: 1 } })
  routers.push(db)
  await db.health()
  await expect(db.query('create table never (id int)')).rejects.toMatchObject({
    code: 'DB_ERR_NO_PRIMARY',
    outcome: 'not-executed',
    cause: { code: '3D000' },
  })
})

test('a prepared statement survives that its tables change under it', async () => {
  await cluster.primary.sql('create table shapes (id int); insert into shapes values (1)')
  const db = await router('postgres', { pool: { ...PATIENT.pool, max: 3 } })
  const prepared = { name: 'shapes', text: 'select * from shapes where id = $1', values: [1] }
  const onEach = () =>
    Promise.all(Array.from({ length: 6 }, () => db.query({ ...prepared, route: 'primary' })))
  await onEach()
  await cluster.primary.sql('alter table shapes add column name text')
  for (const { rows } of await onEach()) expect(rows).toEqual([{ id: 1, name: null }])
})

interface Observed {
  readonly instance: string
  readonly attributes: Record<string, unknown>
  readonly details: Record<string, number | undefined>
  readonly outcome: string
}

/** What telemetry says of the statements that `work` runs. */
async function observed(work: () => Promise<unknown>): Promise<readonly Observed[]> {
  const seen: Observed[] = []
  const handlers = {
    start() {},
    end() {},
    asyncStart() {},
    asyncEnd: (message: object) => seen.push(message as Observed),
    error() {},
  }
  const channel = tracingChannel('cays:db-router:query')
  channel.subscribe(handlers)
  try {
    await work()
  } finally {
    channel.unsubscribe(handlers)
  }
  return seen
}

test('every statement can be observed: where it ran, why, how often it was tried', async () => {
  const db = await router('postgres', { name: 'watched' })
  const gauges: object[] = []
  const gauge = (message: unknown) => gauges.push(message as object)
  subscribe('cays:db-router:staleness', gauge)
  const seen = await observed(async () => {
    await db.query({ text: 'select 1', consistency: 'eventual' })
    await db.query('select * from nowhere').catch(() => {})
    await db.transaction((tx) => tx.query('select 1'))
  })
  await expect.poll(() => gauges.length).toBeGreaterThan(0)
  unsubscribe('cays:db-router:staleness', gauge)
  expect(seen[0]).toMatchObject({
    instance: 'watched',
    outcome: 'ok',
    attributes: {
      'db.system.name': 'postgresql',
      'db.operation.name': 'SELECT',
      'server.address': '127.0.0.1',
      'server.port': cluster.replicas[0]?.port,
      'cays.role': 'replica',
      'cays.reason': 'replica',
      'cays.attempts': 1,
    },
  })
  expect(seen[0]?.details['cays.waited']).toBeGreaterThanOrEqual(0)
  expect(seen[0]?.details['cays.staleness']).toBeGreaterThan(0)
  expect(seen[1]).toMatchObject({
    outcome: 'rolled-back',
    attributes: { 'db.response.status_code': '42P01' },
  })
  const inside = seen
    .slice(2)
    .map(({ attributes }) => [
      attributes['db.operation.name'],
      attributes['cays.reason'],
      attributes['cays.role'],
    ])
  expect(inside).toEqual([
    ['BEGIN', 'write', 'primary'],
    ['SELECT', 'bound', 'primary'],
    ['COMMIT', 'bound', 'primary'],
  ])
})

test('a read that had to wait tells how long, and for which position, as does explain', async () => {
  const db = await router('postgres', { wait: { budget: '60s' } })
  const [replica] = cluster.replicas
  const read = 'select pg_is_in_recovery() as replica from waited_for'
  await db.query('create table if not exists waited_for (id int)')
  await replica?.pauseReplay()
  await db.query('insert into waited_for values (1)')
  expect(db.explain(read)).toMatchObject({ route: 'replica', replicas: [], position: 'unknown' })
  const seen = await observed(async () => {
    const waiting = db.query(read)
    await expect.poll(() => db.explain(read).position).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(db.explain(read).replicas).toEqual([])
    await replica?.resumeReplay()
    expect((await waiting).rows).toEqual([{ replica: true }])
  })
  expect(seen).toMatchObject([
    {
      attributes: { 'cays.reason': 'caught-up', 'cays.role': 'replica' },
      details: { 'cays.timeline': 1, 'cays.position': db.explain(read).position },
    },
  ])
  expect(seen[0]?.details['cays.waited']).toBeGreaterThan(0)
  expect(db.explain(read).replicas).toEqual([`127.0.0.1:${replica?.port}`])
})
