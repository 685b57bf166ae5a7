import { existsSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PostgresCluster, PostgresNode } from '../../src/index.ts'
import { startPostgres } from '../../src/index.ts'

const VERSIONS = [18, ...(existsSync('/usr/lib/postgresql/15/bin/postgres') ? [15] : [])]

async function connect(node: PostgresNode): Promise<Client> {
  const client = new Client({
    connectionString: node.url,
    connectionTimeoutMillis: 1_000,
    application_name: 'test',
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: { code?: unknown }) => error.code,
  )
}

async function count(node: PostgresNode): Promise<number> {
  const [row] = await node.sql('select count(*) from t')
  return Number(row?.count)
}

describe.each(VERSIONS)('Postgres %i', (version) => {
  let pg: PostgresCluster
  let first: PostgresNode
  let second: PostgresNode

  beforeAll(async () => {
    pg = await startPostgres({ replicas: 2, version, logStatements: true })
    const [a, b] = pg.replicas
    if (!a || !b) throw new Error('two replicas were asked for')
    first = a
    second = b
    await pg.primary.sql('create table t (id int)')
  })
  afterAll(() => pg.close())

  it('is a primary and two streaming replicas of the wanted version', async () => {
    expect(pg.version).toBe(version)
    const [row] = await pg.primary.sql(`select count(*) from pg_stat_replication where state = 'streaming'`)
    expect(row?.count).toBe('2')
    expect(await codeOf(first.sql('create table no ()'))).toBe('TESTKIT_ERR_REPLY')
    expect(pg.urls).toEqual({ primary: pg.primary.url, replicas: [first.url, second.url] })
  })

  it('has replicas that hold everything after waitForCatchup', async () => {
    await pg.primary.sql('insert into t select generate_series(1, 1000)')
    await pg.waitForCatchup()
    expect([await count(first), await count(second)]).toEqual([1000, 1000])
  })

  it('lets one replica lag and leaves the other fresh', async () => {
    await first.lag('10s')
    await pg.primary.sql('delete from t where id > 500')
    await expect.poll(() => count(second)).toBe(500)
    expect(await count(first)).toBe(1000)
    await first.lag(0)
    await pg.waitForCatchup()
    expect(await count(first)).toBe(500)
  })

  it('pauses and resumes the replay of one replica', async () => {
    await first.pauseReplay()
    await pg.primary.sql('delete from t')
    await expect.poll(() => count(second)).toBe(0)
    expect(await count(first)).toBe(500)
    await first.resumeReplay()
    await pg.waitForCatchup()
    expect(await count(first)).toBe(0)
  })

  it('tells by its log which backend ran which statement', async () => {
    const client = await connect(first)
    const pid = (await client.query('select pg_backend_pid() as pid')).rows[0].pid
    await client.query('select $1::int +\n 1 as x', [41])
    await codeOf(client.query('select nonsense'))
    await client.end()
    const entries = first.log().filter((entry) => entry.pid === pid)
    expect(entries.map((entry) => [entry.severity, entry.statement])).toEqual([
      ['LOG', 'select pg_backend_pid() as pid'],
      ['LOG', 'select $1::int +\n 1 as x'],
      ['LOG', 'select nonsense'],
      ['ERROR', 'select nonsense'],
    ])
    expect(entries[1]?.detail).toMatch(/parameters: \$1 = '41'/i)
    expect(entries.every((entry) => entry.application === 'test')).toBe(true)
    expect(second.log().filter((entry) => entry.statement?.includes('nonsense'))).toEqual([])
    first.clearLog()
    expect(first.log()).toEqual([])
  })

  it('answers nobody while it is frozen, and everybody once thawed', async () => {
    const client = await connect(first)
    await first.freeze()
    expect(first.state).toBe('frozen')
    let answered = false
    const answer = client.query('select 1').then(() => {
      answered = true
    })
    await expect(connect(first)).rejects.toThrow(/timeout/)
    expect(answered).toBe(false)
    await first.thaw()
    await answer
    await client.end()
  })

  it('goes on with open sessions while only its postmaster is frozen', async () => {
    const client = await connect(first)
    await first.freeze({ scope: 'postmaster' })
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect(connect(first)).rejects.toThrow(/timeout/)
    await first.thaw()
    await client.end()
  })

  it('cancels what still reads old rows, on a recovery conflict', async () => {
    const client = await connect(first)
    const ended = new Promise<{ code?: string }>((resolve) => client.once('error', resolve))
    await client.query('begin isolation level repeatable read')
    await client.query('select count(*) from t')
    await pg.recoveryConflict(first)
    expect((await ended).code).toBe('40001')
  })

  it('waits for a replica when replication is synchronous', async () => {
    await pg.synchronous({ count: 2 })
    await second.freeze()
    let committed = false
    const commit = pg.primary.sql('insert into t values (1)').then(() => {
      committed = true
    })
    await expect.poll(() => count(first)).toBe(1)
    expect(committed).toBe(false)
    await second.thaw()
    await commit
    await pg.synchronous(false)
  })

  it('keeps data and port when killed and started again', async () => {
    const { url } = first
    const before = await count(first)
    await first.kill()
    expect(first.state).toBe('stopped')
    expect(await codeOf(connect(first))).toBe('ECONNREFUSED')
    await first.start()
    expect(first.url).toBe(url)
    expect(await count(first)).toBe(before)
    expect(await codeOf(first.start())).toBe('TESTKIT_ERR_STATE')
  })

  it('adds a replica to a primary that is being written to', async () => {
    const third = await pg.addReplica()
    expect(pg.replicas).toContain(third)
    await pg.primary.sql('insert into t values (2)')
    await pg.waitForCatchup()
    expect(await count(third)).toBe(await count(pg.primary))
  })

  it('fails over, makes the others follow, and takes the old primary back', async () => {
    const old = pg.primary
    const promoted = await pg.failover({ to: first, old: 'stop' })
    expect(pg.primary).toBe(promoted)
    await promoted.sql('insert into t values (3)')
    await old.repoint(promoted)
    await old.start()
    await pg.waitForCatchup()
    expect(await count(second)).toBe(await count(promoted))
    expect(await count(old)).toBe(await count(promoted))
  })

  it('rebuilds a node that holds writes nobody else has', async () => {
    const old = pg.primary
    await pg.failover({ to: second, old: 'keep' })
    await old.sql('insert into t values (4)')
    expect(await codeOf(old.repoint(pg.primary))).toBe('TESTKIT_ERR_STATE')
    await old.repoint(pg.primary, { rebuild: true })
    await pg.waitForCatchup()
    expect(await count(old)).toBe(await count(pg.primary))
  })

  it('leaves no process and no folder after close, whatever the state of its nodes', async () => {
    await second.freeze()
    await first.kill()
    const pids = pg.nodes.flatMap((node) => node.pid ?? [])
    const folders = pg.nodes.map((node) => node.data)
    await Promise.all([pg.close(), pg.close()])
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([])
    expect(folders.filter(existsSync)).toEqual([])
    expect(await codeOf(first.start())).toBe('TESTKIT_ERR_CLOSED')
  })
})
