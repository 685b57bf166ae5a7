import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router, type RouterSettings } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

let cluster: PostgresCluster
const routers: Router[] = []

async function router(options: RouterSettings = {}): Promise<Router> {
  const made = createRouter({ ...PATIENT, primary: cluster.url, replicas: cluster.urls.replicas, ...options })
  routers.push(made)
  await settled(made, 2)
  return made
}

function nameOf(url: string | undefined): string {
  return new URL(url ?? '').host
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  await cluster.primary.sql('create table notes (body text)')
  await cluster.waitForCatchup()
})

afterEach(() => Promise.all(routers.splice(0).map((made) => made.close())))
afterAll(() => cluster?.close())

test('a drained replica gets nothing new, keeps what runs until it is over, and costs no read', async () => {
  const db = await router({ consistency: 'eventual' })
  const name = nameOf(cluster.urls.replicas[0])
  const other = cluster.replicas[1]?.port
  const clients = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const client = await db.connect()
      await client.query('begin read only')
      return client
    }),
  )
  const ports = await Promise.all(
    clients.map(async (client) => (await client.query('select inet_server_port() as port')).rows[0]?.port),
  )
  let drained = false
  const draining = db.drain(name).then(() => {
    drained = true
  })
  for (let read = 0; read < 20; read++) {
    expect((await db.query('select inet_server_port() as port')).rows[0]?.port).toBe(other)
  }
  if (ports.includes(cluster.replicas[0]?.port)) expect(drained).toBe(false)
  for (const client of clients) {
    await client.query('commit')
    client.release()
  }
  await draining
  expect(db.topology().find(({ server }) => server === name)?.connections.total).toBe(0)
  db.restore(name)
  await expect
    .poll(async () => (await db.query('select inet_server_port() as port')).rows[0]?.port)
    .toBe(cluster.replicas[0]?.port)
  await expect(db.drain('nowhere:1')).rejects.toMatchObject({ code: 'DB_ERR_USAGE' })
})

test('while the primary is drained writes wait, and go on when it is used again', async () => {
  const db = await router()
  const name = nameOf(cluster.url)
  await db.drain(name)
  const write = db.query("insert into notes values ('waited')")
  await expect.poll(async () => (await db.health()).buffered).toBe(1)
  db.restore(name)
  expect((await write).rowCount).toBe(1)
})

test('waiting for a drain can be given up', async () => {
  const db = await router()
  const client = await db.connect()
  await client.query('begin')
  const signal = AbortSignal.abort(new Error('no time'))
  await expect(db.drain(nameOf(cluster.url), { signal })).rejects.toThrow('no time')
  await client.query('rollback')
  client.release()
})

test('a password is asked for each connection, and once more when it has expired', async () => {
  const { primary } = cluster
  await primary.sql("create role tokened login password 'first'")
  const [hba] = await primary.sql(
    "select current_setting('hba_file') as file, pg_read_file(current_setting('hba_file')) as text",
  )
  const rules = ['host all tokened 127.0.0.1/32 scram-sha-256', ...String(hba?.text).split('\n')]
  const rows = rules
    .filter((rule) => /^\w/.test(rule))
    .map((rule, rank) => `(${rank}, '${rule.replace(/\s+/g, ' ')}')`)
  await primary.sql(
    `copy (select rule from (values ${rows}) rules(rank, rule) order by rank) to '${hba?.file}'`,
  )
  await primary.sql('select pg_reload_conf()')
  const passwords = ['first', 'first']
  const asked: object[] = []
  const db = createRouter({
    ...PATIENT,
    primary: cluster.url.replace('postgres@', 'tokened@'),
    password: async (server) => {
      asked.push(server)
      return passwords.shift() ?? 'second'
    },
  })
  routers.push(db)
  expect((await db.query('select current_user as name')).rows).toEqual([{ name: 'tokened' }])
  const client = await db.connect()
  await client.query('begin')
  await primary.sql("alter role tokened password 'second'")
  passwords.push('first')
  expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await client.query('rollback')
  client.release()
  expect(passwords).toEqual([])
  expect(asked[0]).toEqual({ host: '127.0.0.1', port: primary.port, user: 'tokened', database: 'postgres' })
})

test('listening follows the primary, and says when something may have been missed', async () => {
  const db = await router()
  const heard: string[] = []
  let gaps = 0
  const subscription = await db.listen('Tides', {
    message: (payload) => heard.push(payload),
    gap: () => gaps++,
  })
  const other: string[] = []
  const second = await db.listen('winds', { message: (payload) => other.push(payload) })
  await db.query(`select pg_notify('Tides', 'one'), pg_notify('winds', 'north')`)
  await expect.poll(() => [heard, other]).toEqual([['one'], ['north']])
  await second.close()
  await cluster.primary.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where query like 'UNLISTEN%' or query like 'LISTEN%'`,
  )
  await expect.poll(() => gaps).toBe(1)
  await db.query(`select pg_notify('Tides', 'two'), pg_notify('winds', 'south')`)
  await expect.poll(() => heard).toEqual(['one', 'two'])
  await cluster.failover({ old: 'stop' })
  await expect.poll(() => gaps).toBe(2)
  await db.query('notify "Tides", \'three\'')
  await expect.poll(() => heard).toEqual(['one', 'two', 'three'])
  expect(other).toEqual(['north'])
  await subscription.close()
  await subscription.close()
  await expect.poll(() => db.topology().find(({ primary }) => primary)?.connections.total).toBeLessThan(3)
})

test('a subscription that cannot begin can be given up', async () => {
  const db = createRouter({ primary: 'postgres://nobody@127.0.0.1:9/none' })
  routers.push(db)
  const signal = AbortSignal.timeout(50)
  await expect(db.listen('tides', { message: () => {}, signal })).rejects.toMatchObject({
    name: 'TimeoutError',
  })
})
