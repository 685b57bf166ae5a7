import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type PostgresCluster, startPostgres } from '@cays/testkit'
import pg from 'pg'
import QueryStream from 'pg-query-stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRouter, type Router, UsageError } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  await cluster.primary.sql(
    'create table jobs (id serial primary key, title text unique);' +
      ' create function shout(t text) returns text language sql immutable as $$ select upper(t) $$;' +
      ' create function "LOWER"(t text) returns int language sql volatile as $$ insert into jobs (title) values (t) returning id $$;' +
      ' create function add_job(t text) returns int language sql volatile as $$ insert into jobs (title) values (t) returning id $$',
  )
  await cluster.waitForCatchup()
  db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: [...cluster.urls.replicas],
    pool: { ...PATIENT.pool, max: 5 },
  })
  await db.health()
  await settled(db, 2)
})

afterAll(async () => {
  await db?.close()
  await cluster?.close()
})

const WHERE = 'select pg_is_in_recovery() as replica, inet_server_port() as port'

describe('a router in place of a pool', () => {
  test('is a pg.Pool, with its options', () => {
    expect(db).toBeInstanceOf(pg.Pool)
    expect(db.primary).toBeInstanceOf(pg.Pool)
    expect(db.options.max).toBe(5)
  })

  test('takes a text, values, a config, and a callback', async () => {
    expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect((await db.query('select $1::int as one', [1])).rows).toEqual([{ one: 1 }])
    expect((await db.query({ text: 'select $1::int', values: [1], rowMode: 'array' })).rows).toEqual([[1]])
    const rows = await new Promise((resolve, reject) => {
      db.query('select $1::int as one', [1], (error, result) =>
        error ? reject(error) : resolve(result.rows),
      )
    })
    expect(rows).toEqual([{ one: 1 }])
  })

  test('takes a query object', async () => {
    const rows: unknown[] = []
    const query = new pg.Query('select 1 as one')
    await new Promise((resolve, reject) => {
      query.on('row', (row) => rows.push(row))
      query.on('end', resolve)
      query.on('error', reject)
      db.query(query)
    })
    expect(rows).toEqual([{ one: 1 }])
  })

  test('takes a stream, on one connection of a replica that comes back however the stream ends', async () => {
    const back = () => expect.poll(() => db.idleCount === db.totalCount).toBe(true)
    const text = 'select g, pg_is_in_recovery() as replica from generate_series(1, 500) g'
    const rows: { replica: boolean }[] = []
    for await (const row of db.query(new QueryStream(text, [], { batchSize: 50 }))) rows.push(row)
    expect(rows.map(({ replica }) => replica)).toEqual(Array(500).fill(true))
    await back()
    for await (const row of db.query(new QueryStream(text, [], { batchSize: 50 }))) {
      if (row.g === 60) break
    }
    await back()
    const failing = db.query(new QueryStream('select 1 / (g - 60) from generate_series(1, 99) g'))
    await expect(failing.toArray()).rejects.toMatchObject({ code: '22012' })
    await back()
  })

  test('counts the connections of all servers and forwards their events', async () => {
    await db.query('select 1')
    expect(db.totalCount).toBeGreaterThan(0)
    expect(db.idleCount).toBeGreaterThan(0)
    expect(db.waitingCount).toBe(0)
    let acquired = 0
    const count = () => acquired++
    db.on('acquire', count)
    await db.query('select 1')
    db.off('acquire', count)
    expect(acquired).toBe(1)
  })

  test('hands out errors of the server as pg makes them, with the outcome added', async () => {
    const error = await db.query('select * from nowhere').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).toMatchObject({ code: '42P01', outcome: 'rolled-back' })
  })

  test('refuses to begin a transaction on any connection', async () => {
    await expect(db.query('BEGIN')).rejects.toMatchObject({ code: 'DB_ERR_USAGE', outcome: 'not-executed' })
  })
})

test('calls that make no sense are refused before anything is sent, and leave nothing behind', async () => {
  const made = createRouter({ ...PATIENT, primary: cluster.url, bookmark: { secret: 'x'.repeat(16) } })
  const loose = made as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>
  const text = 'select 1'
  const message = () => {}
  const calls: [string, ...unknown[]][] = [
    ['query', {}],
    ['query', { text: 5 }],
    ['query', { text, signal: {} }],
    ['query', { text, idempotent: 'no' }],
    ['query', { text, timeout: -1 }],
    ['transaction', { signal: 'soon' }, async () => {}],
    ['session', { from: 5 }, async () => {}],
    ['session', { from: [5] }, async () => {}],
    ['drain', made.topology()[0]?.server, { signal: {} }],
    ['listen', '', { message }],
    ['listen', 'a\0b', { message }],
    ['listen', 'ü'.repeat(32), { message }],
    ['listen', 'tides', { message, signal: {} }],
  ]
  for (const [name, ...given] of calls) {
    const error = await loose[name]?.(...given).catch((thrown: unknown) => thrown)
    expect(error, name).toBeInstanceOf(UsageError)
    expect(error).toMatchObject({ outcome: 'not-executed' })
  }
  expect(() => made.explain(undefined as never)).toThrow(UsageError)
  expect((await made.query(text)).rowCount).toBe(1)
  expect(made.topology().map(({ inFlight }) => inFlight)).toEqual([0])
  // Nothing that was refused is waited for.
  await made.close()
})

describe('routing', () => {
  test('sends reads to both replicas and writes to the primary', async () => {
    const ports = new Set<number>()
    // One that was slow for a moment is left alone for a while.
    await expect
      .poll(async () => {
        const { rows } = await db.query<{ replica: boolean; port: number }>({
          text: WHERE,
          consistency: 'eventual',
        })
        expect(rows[0]?.replica).toBe(true)
        ports.add(rows[0]?.port as number)
        return [...ports].sort()
      })
      .toEqual(cluster.replicas.map((node) => node.port).sort())
    const { rows } = await db.query(
      "insert into jobs (title) values ('diver') returning pg_is_in_recovery() as replica",
    )
    expect(rows).toEqual([{ replica: false }])
  })

  test('does as the call says', async () => {
    expect((await db.query({ text: WHERE, route: 'primary' })).rows[0]?.replica).toBe(false)
    expect((await db.query({ text: WHERE, consistency: 'strong' })).rows[0]?.replica).toBe(false)
    expect((await db.primary.query(WHERE)).rows[0]?.replica).toBe(false)
    expect((await db.replica.query(WHERE)).rows[0]?.replica).toBe(true)
    await expect(db.replica.query("insert into jobs (title) values ('x')")).rejects.toMatchObject({
      code: '25006',
    })
  })

  test('asks the database what a function of its own does', async () => {
    await expect.poll(() => db.explain("select shout('a')").route).toBe('replica')
    expect(db.explain("select add_job('a')").route).toBe('primary')
    const { rows } = await db.query("select shout('a') as loud, pg_is_in_recovery() as replica")
    expect(rows[0]).toEqual({ loud: 'A', replica: true })
    await db.query("select add_job('from a function')")
    expect(
      (await db.query("select count(*)::int from jobs where title = 'from a function'")).rows[0]?.count,
    ).toBe(1)
  })

  test('takes a quoted name for the function it names, not for one of Postgres spelled alike', async () => {
    await expect.poll(() => db.explain("select shout('a')").route).toBe('replica')
    expect(db.explain("select lower('A')").route).toBe('replica')
    expect(db.explain(`select "lower"('A')`).route).toBe('replica')
    expect(db.explain(`select "LOWER"('quoted')`)).toMatchObject({ route: 'primary' })
    await db.query(`select "LOWER"('quoted')`)
    const { rows } = await db.query("select count(*)::int from jobs where title = 'quoted'")
    expect(rows[0]?.count).toBe(1)
  })

  test('learns from a replica that refuses what looked like a read, and loses nothing', async () => {
    await cluster.primary.sql("create view sneaky as select add_job('sneaky ' || gen_random_uuid()) as id")
    await cluster.waitForCatchup()
    expect(db.explain('select id from sneaky').route).toBe('replica')
    await db.query('select id from sneaky')
    expect(db.explain('select id from sneaky')).toMatchObject({ route: 'primary' })
    const { rows } = await db.query("select count(*)::int from jobs where title like 'sneaky%'")
    expect(rows[0]?.count).toBe(1)
  })

  test('learns from a replica that cannot answer because it is one (55000)', async () => {
    await cluster.primary.sql('create view written_so_far as select pg_current_wal_lsn() as lsn')
    await cluster.waitForCatchup()
    const text = 'select lsn is not null as known from written_so_far'
    expect(db.explain(text).route).toBe('replica')
    await expect(db.query({ text, route: 'replica' })).rejects.toMatchObject({ code: '55000' })
    expect((await db.query({ text, consistency: 'eventual' })).rows).toEqual([{ known: true }])
    expect(db.explain(text).route).toBe('primary')
  })

  test('learns from a replica that does not offer what the connection asks for (0A000)', async () => {
    await using serializable = createRouter({
      ...PATIENT,
      primary: cluster.url,
      replicas: cluster.urls.replicas,
      consistency: 'eventual',
      pool: {
        ...PATIENT.pool,
        onConnect: async (client) => {
          await client.query("set default_transaction_isolation = 'serializable'")
        },
      },
    })
    await settled(serializable, 2)
    const text = 'select pg_is_in_recovery() as replica, count(*) >= 0 as counted from jobs'
    expect(serializable.explain(text).route).toBe('replica')
    await expect(serializable.query({ text, route: 'replica' })).rejects.toMatchObject({ code: '0A000' })
    expect((await serializable.query(text)).rows).toEqual([{ replica: false, counted: true }])
    expect(serializable.explain(text).route).toBe('primary')
  })

  test('leaves all on the primary but what the call sends elsewhere, when told so', async () => {
    await using explicit = createRouter({
      ...PATIENT,
      primary: cluster.url,
      replicas: cluster.urls.replicas,
      routing: 'explicit',
    })
    await settled(explicit, 2)
    expect(explicit.explain(WHERE)).toMatchObject({ route: 'primary', replicas: [] })
    expect((await explicit.query(WHERE)).rows[0]?.replica).toBe(false)
    expect(
      await explicit.transaction({ readOnly: true }, async (tx) => (await tx.query(WHERE)).rows),
    ).toMatchObject([{ replica: false }])
    expect((await explicit.query({ text: WHERE, route: 'replica' })).rows[0]?.replica).toBe(true)
    expect((await explicit.replica.query(WHERE)).rows[0]?.replica).toBe(true)
  })
})

describe('connect', () => {
  test('routes reads one by one until a statement needs a connection of its own', async () => {
    const client = await db.connect()
    expect((await client.query({ text: WHERE })).rows[0]?.replica).toBe(true)
    await client.query('BEGIN')
    expect((await client.query({ text: WHERE })).rows[0]?.replica).toBe(false)
    await client.query("insert into jobs (title) values ('bound')")
    await client.query('ROLLBACK')
    client.release()
    expect((await db.query("select count(*)::int from jobs where title = 'bound'")).rows[0]?.count).toBe(0)
  })

  test('routes writes one by one as well, so that they follow a failover as those of the pool do', async () => {
    const client = await db.connect()
    let acquired = 0
    const count = () => acquired++
    const { rows } = await client.query("insert into jobs (title) values ('alone') returning id")
    db.on('acquire', count)
    const found = await client.query('select pg_is_in_recovery() as replica from jobs where id = $1', [
      rows[0]?.id,
    ])
    await client.query("update jobs set title = 'alone still' where id = $1", [rows[0]?.id])
    db.off('acquire', count)
    expect(found.rows).toEqual([{ replica: true }])
    expect(acquired).toBe(2)
    expect(client.getTransactionStatus()).toBe(null)
    client.release()
  })

  test('does not answer for the wrong connection what a sequence gave last', async () => {
    const client = await db.connect()
    await client.query("insert into jobs (title) values ('numbered')")
    for (const text of ['select lastval()', "select currval('jobs_id_seq')"]) {
      await expect(client.query(text)).rejects.toMatchObject({
        code: 'DB_ERR_USAGE',
        outcome: 'not-executed',
      })
    }
    await client.query('begin')
    const { rows } = await client.query("insert into jobs (title) values ('numbered, too') returning id")
    expect((await client.query('select lastval()::int as id')).rows).toEqual(rows)
    await client.query('commit')
    client.release()
  })

  test('keeps session state on one connection', async () => {
    const client = await db.connect()
    await client.query("set application_name = 'keeper'")
    const { rows } = await client.query("select current_setting('application_name') as name")
    expect(rows[0]?.name).toBe('keeper')
    await client.query('reset application_name')
    client.release()
    expect(() => client.release()).toThrow(/already been released/)
    await expect(client.query('select 1')).rejects.toMatchObject({ code: 'DB_ERR_USAGE' })
  })

  test('runs a read-only transaction on a replica, on one snapshot', async () => {
    const client = await db.connect()
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    expect((await client.query({ text: WHERE })).rows[0]?.replica).toBe(true)
    await expect(client.query("insert into jobs (title) values ('no')")).rejects.toMatchObject({
      code: '25006',
    })
    await client.query('ROLLBACK')
    client.release()
  })

  test('gives the connection back closed when a transaction was left open', async () => {
    const client = await db.connect()
    await client.query('BEGIN')
    await client.query("insert into jobs (title) values ('left open')")
    client.release()
    const { rows } = await db.query("select count(*)::int from jobs where title = 'left open'")
    expect(rows[0]?.count).toBe(0)
  })

  test('takes a callback as pg-pool does', async () => {
    const rows = await new Promise((resolve, reject) => {
      db.connect((error, client, done) => {
        if (error || !client) return reject(error)
        client.query('select 1 as one', (failed: Error, result: pg.QueryResult) => {
          done()
          if (failed) reject(failed)
          else resolve(result.rows)
        })
      })
    })
    expect(rows).toEqual([{ one: 1 }])
  })
})

test('asking for health can be all that a process does', async () => {
  const script = `import { createRouter } from '@cays/db-router'
    const db = createRouter({ primary: ${JSON.stringify(cluster.url)}, health: { timeout: '20s' } })
    console.log((await db.health()).status)
    await db.close()`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--conditions=@cays/source', '--input-type=module', '--eval', script],
    { cwd: join(import.meta.dirname, '../..') },
  )
  expect(stdout.trim()).toBe('up')
})

describe('transaction', () => {
  test('commits what the function did and gives its result', async () => {
    const id = await db.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: number }>("insert into jobs (title) values ('tx') returning id")
      return rows[0]?.id
    })
    expect((await db.query('select title from jobs where id = $1', [id])).rows).toEqual([{ title: 'tx' }])
  })

  test('rolls back when the function throws', async () => {
    const failing = db.transaction(async (tx) => {
      await tx.query("insert into jobs (title) values ('never')")
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect((await db.query("select count(*)::int from jobs where title = 'never'")).rows[0]?.count).toBe(0)
  })

  test('says so when COMMIT rolled back because an error was ignored', async () => {
    const ignoring = db.transaction(async (tx) => {
      await tx.query('select * from nowhere').catch(() => {})
    })
    await expect(ignoring).rejects.toMatchObject({
      code: 'DB_ERR_TRANSACTION_ABORTED',
      outcome: 'rolled-back',
    })
  })

  test('runs again after a serialization failure when allowed', async () => {
    await db.query("insert into jobs (title) values ('counter 0')")
    let runs = 0
    await db.transaction({ isolation: 'serializable', retry: 2 }, async (tx) => {
      runs++
      await tx.query("select * from jobs where title like 'counter%'")
      if (runs === 1) await db.query("update jobs set title = 'counter 1' where title = 'counter 0'")
      await tx.query("update jobs set title = title || '!' where title like 'counter%'")
    })
    expect(runs).toBe(2)
    expect((await db.query("select title from jobs where title like 'counter%'")).rows).toEqual([
      { title: 'counter 1!' },
    ])
  })

  test('runs on a replica when read only', async () => {
    const replica = await db.transaction({ readOnly: true }, async (tx) => {
      const { rows } = await tx.query(WHERE)
      return rows[0]?.replica
    })
    expect(replica).toBe(true)
  })
})
