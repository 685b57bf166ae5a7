import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { aurora } from '../../src/aurora.ts'
import { createRouter, type Discovery, dns, type Router } from '../../src/index.ts'
import { patroni } from '../../src/patroni.ts'
import { closed } from '../closed.ts'
import { PATIENT } from '../settled.ts'

let cluster: PostgresCluster
const routers: Router[] = []

function router(discovery: Discovery): Router {
  const made = createRouter({ ...PATIENT, discovery })
  routers.push(made)
  return made
}

function names(db: Router): string[] {
  return db
    .topology()
    .map(({ server, role }) => `${server.split(':')[1]} ${role}`)
    .sort()
}

function expected(): string[] {
  return cluster.nodes
    .map((node) => `${node.port} ${node === cluster.primary ? 'primary' : 'replica'}`)
    .sort()
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  await cluster.primary.sql('create table notes (body text)')
  await cluster.waitForCatchup()
})

afterEach(() => Promise.all(routers.splice(0).map((made) => made.close())))
afterAll(() => cluster?.close())

test('a function of your own says which servers there are; one it names no more is left without a failing read', async () => {
  const [one = '', two = ''] = cluster.urls.replicas
  let servers = [cluster.url, one]
  let broken = false
  let searches = 0
  const find = async () => {
    searches++
    if (broken) throw new Error('nobody knows')
    return servers
  }
  const searchedAgain = async () => {
    const before = searches
    await expect.poll(() => searches).toBeGreaterThan(before + 1)
  }
  const db = router({ interval: 100, find })
  await db.query("insert into notes values ('found')")
  expect((await db.query('select body from notes')).rows).toEqual([{ body: 'found' }])
  expect((await db.health()).servers.length).toBe(2)
  let stopped = false
  const failures: unknown[] = []
  const load = (async () => {
    while (!stopped) {
      await db.query('select count(*) from notes').catch((error: unknown) => {
        stopped ||= closed(error)
        failures.push(error)
      })
    }
  })()
  servers = [cluster.url, two]
  await expect
    .poll(() => db.topology().map(({ server, health }) => `${server} ${health}`))
    .toEqual([cluster.url, two].map((url) => `${new URL(url).host} up`))
  // A search that fails, or finds nothing, changes nothing.
  servers = []
  await searchedAgain()
  broken = true
  await searchedAgain()
  await db.query("insert into notes values ('still there')")
  stopped = true
  await load
  expect(failures).toEqual([])
  expect(db.topology().length).toBe(2)
})

test('a search that cannot succeed is named as the cause when there is no primary', async () => {
  const db = createRouter({
    buffer: { window: 1 },
    discovery: { find: () => Promise.reject(new Error('nobody knows')) },
  })
  routers.push(db)
  await db.health()
  await expect(db.query('create table never (id int)')).rejects.toMatchObject({
    code: 'DB_ERR_NO_PRIMARY',
    cause: { message: 'nobody knows' },
  })
})

/** Answers every question for SRV records with these ports of localhost. */
async function startNameServer(ports: readonly number[]): Promise<Socket> {
  const socket = createSocket('udp4')
  const target = Buffer.from([...Buffer.from('\x09localhost\x00', 'latin1')])
  socket.on('message', (query, from) => {
    const header = Buffer.from(query.subarray(0, 12))
    header.writeUInt16BE(0x8180, 2)
    header.writeUInt16BE(ports.length, 6)
    header.writeUInt32BE(0, 8)
    const end = query.indexOf(0, 12) + 5
    const answers = ports.map((port) => {
      const record = Buffer.alloc(18)
      record.writeUInt16BE(0xc00c, 0)
      record.writeUInt16BE(33, 2)
      record.writeUInt16BE(1, 4)
      record.writeUInt16BE(6 + target.length, 10)
      record.writeUInt16BE(port, 16)
      return Buffer.concat([record, target])
    })
    socket.send(Buffer.concat([header, query.subarray(12, end), ...answers]), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return socket
}

test('SRV records say which servers there are', async () => {
  const nameServer = await startNameServer(cluster.nodes.map((node) => node.port))
  try {
    const address = `127.0.0.1:${nameServer.address().port}`
    const url = cluster.url.replace(/@[^/]*/, '@_postgresql._tcp.example.test')
    const db = router(dns(url, { records: 'SRV', nameServers: [address] }))
    await expect.poll(async () => (await db.health()) && names(db)).toEqual(expected())
  } finally {
    nameServer.close()
  }
})

test('addresses of a name are servers', async () => {
  const db = router(dns(cluster.url.replace('127.0.0.1', 'localhost')))
  await expect.poll(async () => (await db.health()).writable).toBe(true)
  expect(db.topology().some(({ server }) => server === `127.0.0.1:${cluster.primary.port}`)).toBe(true)
})

test('the instances of an Aurora cluster are servers; a session that wrote reads from the writer for a while', async () => {
  // What Aurora has and Postgres lacks, under the same names.
  const rows = cluster.nodes.map(
    (node) =>
      `('${node.port}', '${node === cluster.primary ? 'MASTER_SESSION_ID' : node.port}', ${node === cluster.primary ? 'null' : 5}, now())`,
  )
  await cluster.primary.sql(
    `create function aurora_db_instance_identifier() returns text stable language sql as 'select inet_server_port()::text';
     create function aurora_replica_status() returns table
       (server_id text, session_id text, replica_lag_in_msec float8, last_update_timestamp timestamptz)
       stable language sql as $$ values ${rows}, ('1', 'gone', 5, now() - interval '1 hour') $$`,
  )
  await cluster.waitForCatchup()
  const db = createRouter({
    ...PATIENT,
    primary: cluster.url,
    discovery: aurora({ instance: cluster.url.replace(/:\d+\//, ':{id}/') }),
    maxStaleness: '60s',
  })
  routers.push(db)
  await expect.poll(async () => (await db.health()) && names(db)).toEqual(expected())
  const where = 'select pg_is_in_recovery() as replica'
  await expect.poll(async () => (await db.query(where)).rows).toEqual([{ replica: true }])
  await db.session(async () => {
    await db.query("insert into notes values ('aurora')")
    expect((await db.query(where)).rows).toEqual([{ replica: false }])
    expect((await db.query({ text: where, consistency: 'eventual' })).rows).toEqual([{ replica: true }])
  })
  await db.session(async () => {
    expect((await db.query(where)).rows).toEqual([{ replica: true }])
  })
})

test('the members of a Patroni cluster that run are servers, asked of whichever member answers', async () => {
  const member = (port: number, role: string, more: object = {}) => ({
    name: `pg-${port}`,
    host: '127.0.0.1',
    port,
    role,
    state: role === 'leader' ? 'running' : 'streaming',
    ...more,
  })
  const members = [
    // Patroni may be behind: what counts is what the servers say.
    ...cluster.nodes.map((node) => member(node.port, node === cluster.primary ? 'replica' : 'leader')),
    member(1, 'replica', { state: 'stopped' }),
    member(2, 'replica', { tags: { noloadbalance: true } }),
  ]
  const asked: (string | undefined)[] = []
  const server: Server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization}`)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ members }))
  })
  const down = createServer((_request, response) => void response.writeHead(503).end())
  const listen = async (http: Server) => {
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  }
  const endpoints = [await listen(down), await listen(server)]
  try {
    const url = cluster.url.replace(/@[^/]*/, '@any')
    const headers = { authorization: 'Basic eDp5' }
    const db = router(patroni({ endpoints, url, headers, timeout: '20s' }))
    await expect.poll(async () => (await db.health()) && names(db)).toEqual(expected())
    expect(asked[0]).toBe('/cluster Basic eDp5')
  } finally {
    for (const http of [server, down]) http.close()
  }
})
