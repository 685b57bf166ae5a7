import { type FaultProxy, type PostgresCluster, startFaultProxy, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  createRouter,
  OutcomeUnknownError,
  RolledBackError,
  type Router,
  type RouterOptions,
} from '../../src/index.ts'
import { closed } from '../closed.ts'
import { PATIENT, settled } from '../settled.ts'

const INSERT = 'insert into ledger (id) values ($1)'

let cluster: PostgresCluster
let proxies: readonly [FaultProxy, FaultProxy, FaultProxy]
let db: Router
const open: Router[] = []

async function router(options: Partial<RouterOptions> = {}): Promise<Router> {
  const [primary, ...replicas] = proxies.map((proxy) => proxy.url) as [string, ...string[]]
  const { pool, buffer, fallback } = PATIENT
  const made = createRouter({ primary, replicas, pool, buffer, fallback, ...options })
  open.push(made)
  await settled(made, 2)
  return made
}

let shared: PostgresCluster

beforeAll(async () => {
  shared = await prepared()
})

beforeEach(async () => {
  await use(shared)
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((made) => made.close()))
  await Promise.all(proxies.map((proxy) => proxy.close()))
  if (cluster !== shared) {
    await cluster.close()
    return
  }
  if (shared.primary.state !== 'running') await shared.primary.start()
  await shared.primary.sql('truncate ledger')
})

afterAll(() => shared?.close())

async function prepared(): Promise<PostgresCluster> {
  const made = await startPostgres({ replicas: 2 })
  await made.primary.sql('create table ledger (id int primary key)')
  await made.waitForCatchup()
  return made
}

async function use(made: PostgresCluster) {
  cluster = made
  proxies = (await Promise.all(
    cluster.nodes.map((node) => startFaultProxy(node.url)),
  )) as unknown as typeof proxies
  db = await router()
}

/** For tests after which nothing is as it was. */
async function useOwnCluster() {
  await Promise.all(open.splice(0).map((made) => made.close()))
  await Promise.all(proxies.map((proxy) => proxy.close()))
  await use(await prepared())
}

async function ids(): Promise<number[]> {
  return (await cluster.primary.sql('select id from ledger order by id')).map((row) => Number(row.id))
}

/** Writes 1, 2, 3, … one after the other until stopped; tells what became of each. */
function writer(router: Router) {
  let stopped = false
  const acknowledged: number[] = []
  const refused: { id: number; error: unknown }[] = []
  const loop = (async () => {
    for (let id = 1; !stopped; id++) {
      try {
        await router.query(INSERT, [id])
        acknowledged.push(id)
      } catch (error) {
        if (closed(error)) return
        refused.push({ id, error })
      }
    }
  })()
  return {
    acknowledged,
    stop: async () => {
      stopped = true
      await loop
      return { acknowledged, refused }
    },
  }
}

test('a primary that restarts delays writes, and loses or doubles none', async () => {
  const writes = writer(db)
  await expect.poll(() => writes.acknowledged.length).toBeGreaterThan(5)
  await cluster.primary.stop({ mode: 'fast' })
  await cluster.primary.start()
  const before = writes.acknowledged.length
  await expect.poll(() => writes.acknowledged.length, { timeout: 30_000 }).toBeGreaterThan(before + 5)
  const { acknowledged, refused } = await writes.stop()
  const stored = new Set(await ids())
  expect(acknowledged.filter((id) => !stored.has(id))).toEqual([])
  for (const { error } of refused) expect(error).toBeInstanceOf(OutcomeUnknownError)
  expect(refused.length).toBeLessThanOrEqual(1)
})

test('reads go on from replicas while there is no primary', async () => {
  await cluster.primary.kill()
  await expect.poll(() => db.topology().some((server) => server.primary), { timeout: 30_000 }).toBe(false)
  const { rows } = await db.query('select pg_is_in_recovery() as replica')
  expect(rows[0]?.replica).toBe(true)
  expect(await db.health()).toMatchObject({ status: 'degraded', writable: false })
})

test('without a primary for longer than the window a write fails as not executed', async () => {
  const brief = await router({ buffer: { window: 300 } })
  await cluster.primary.kill()
  await expect(brief.query(INSERT, [1])).rejects.toMatchObject({
    code: expect.stringMatching(/DB_ERR_NO_PRIMARY|DB_ERR_OUTCOME_UNKNOWN/),
  })
  await expect(brief.query(INSERT, [2])).rejects.toMatchObject({
    code: 'DB_ERR_NO_PRIMARY',
    outcome: 'not-executed',
  })
  await expect(brief.transaction(async (tx) => tx.query(INSERT, [3]))).rejects.toMatchObject({
    code: 'DB_ERR_NO_PRIMARY',
    outcome: 'not-executed',
  })
})

test('more waiting writes than the buffer holds are refused at once', async () => {
  const small = await router({ buffer: { window: '60s', size: 2 } })
  await cluster.primary.kill()
  await expect.poll(() => small.topology().some((server) => server.primary), { timeout: 30_000 }).toBe(false)
  const writes = [1, 2, 3].map((id) => small.query(INSERT, [id]))
  await expect(writes[2]).rejects.toMatchObject({ code: 'DB_ERR_BUFFER_FULL', outcome: 'not-executed' })
  await cluster.primary.start()
  await Promise.all(writes.slice(0, 2))
  expect(await ids()).toEqual([1, 2])
})

test('writes follow a promoted replica, and none is lost that was acknowledged after it', async () => {
  await useOwnCluster()
  await cluster.synchronous({ count: 1 })
  const writes = writer(db)
  await expect.poll(() => writes.acknowledged.length).toBeGreaterThan(5)
  const promoted = await cluster.failover()
  const before = writes.acknowledged.length
  await expect.poll(() => writes.acknowledged.length, { timeout: 30_000 }).toBeGreaterThan(before + 5)
  const { acknowledged, refused } = await writes.stop()
  const stored = new Set(await ids())
  expect(acknowledged.filter((id) => !stored.has(id))).toEqual([])
  for (const { error } of refused) expect(error).toBeInstanceOf(OutcomeUnknownError)
  const primary = db.topology().find((server) => server.primary)
  expect(primary?.timeline).toBe(2)
  const { rows } = await db.query({ text: 'select inet_server_port() as port', route: 'primary' })
  expect(rows[0]?.port).toBe(promoted.port)
  // The replica that was left follows the new timeline and serves what was written there.
  await db.query(INSERT, [1_000_000])
  await expect
    .poll(
      async () =>
        (await db.query('select pg_is_in_recovery() as replica from ledger where id = 1000000')).rows[0],
      { timeout: 30_000 },
    )
    .toEqual({ replica: true })
})

test('of two primaries the one on the higher timeline gets the writes; an answer to a read tells of it before a probe', async () => {
  await useOwnCluster()
  const unprobed = await router({ health: { interval: '1h' }, maxStaleness: '1h' })
  const old = cluster.primary
  await cluster.failover({ old: 'keep' })
  const timeline = () => unprobed.topology().find((server) => server.primary)?.timeline
  await expect
    .poll(
      async () => {
        await unprobed.query({ text: 'select 1', consistency: 'eventual' })
        return timeline()
      },
      { timeout: 30_000 },
    )
    .toBe(2)
  for (let id = 1; id <= 20; id++) await unprobed.query(INSERT, [id])
  expect((await ids()).length).toBe(20)
  expect((await old.sql('select count(*) as count from ledger'))[0]?.count).toBe('0')
})

test('a former primary that comes back as a replica serves reads and gets no writes', async () => {
  await useOwnCluster()
  const old = cluster.primary
  const promoted = await cluster.failover({ old: 'stop' })
  await db.query(INSERT, [1])
  await old.repoint(promoted, { rebuild: true })
  const name = `127.0.0.1:${proxies[0].port}`
  await expect
    .poll(() => db.topology().find((server) => server.server === name), { timeout: 30_000 })
    .toMatchObject({ role: 'replica', health: 'up', primary: false })
  await db.query(INSERT, [2])
  expect(await ids()).toEqual([1, 2])
})

test('a write whose answer is lost is reported as unknown and is not sent again', async () => {
  await db.query(INSERT, [0])
  proxies[0].set({ blackhole: true }, 'toClient')
  const write = db.query(INSERT, [1])
  await expect.poll(ids, { timeout: 30_000 }).toEqual([0, 1])
  proxies[0].reset()
  const error = await write.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(OutcomeUnknownError)
  expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
  await proxies[0].heal()
  expect(await ids()).toEqual([0, 1])
})

test('a write whose answer is lost is sent again when the caller says that does no harm', async () => {
  await db.query(INSERT, [0])
  proxies[0].set({ blackhole: true }, 'toClient')
  const text = `${INSERT} on conflict do nothing`
  const write = db.query({ text, values: [1], idempotent: true })
  await expect.poll(ids, { timeout: 30_000 }).toEqual([0, 1])
  proxies[0].reset()
  await proxies[0].heal()
  // The first try did it, so the second finds nothing left to do.
  expect((await write).rowCount).toBe(0)
  expect(await ids()).toEqual([0, 1])
})

test('a write refused by what was taken for the primary had no effect and runs over new connections', async () => {
  await cluster.primary.sql('create role sailor superuser login')
  await cluster.primary.sql('alter role sailor set default_transaction_read_only = on')
  const made = createRouter({ primary: cluster.url.replace('postgres@', 'sailor@'), pool: { max: 2 } })
  open.push(made)
  // These connections refuse to write, as those to a demoted primary do.
  await Promise.all([made.query('select pg_sleep(0.05)'), made.query('select pg_sleep(0.05)')])
  await cluster.primary.sql('alter role sailor reset default_transaction_read_only')
  await Promise.all([made.query(INSERT, [1]), made.query(INSERT, [2])])
  expect(await ids()).toEqual([1, 2])
  await made.close()
  await cluster.primary.sql('drop role sailor')
})

test('a COMMIT whose answer is lost is unknown, whatever retry allows', async () => {
  let runs = 0
  const running = db.transaction({ retry: 5 }, async (tx) => {
    runs++
    await tx.query(INSERT, [1])
    proxies[0].set({ blackhole: true }, 'toClient')
  })
  await expect.poll(ids, { timeout: 30_000 }).toEqual([1])
  proxies[0].reset()
  await expect(running).rejects.toMatchObject({ code: 'DB_ERR_OUTCOME_UNKNOWN', outcome: 'unknown' })
  expect(runs).toBe(1)
})

test('a transaction cut off before COMMIT rolled back, and runs again where allowed', async () => {
  const cut = async (
    tx: { query: (text: string, values: unknown[]) => Promise<unknown> },
    first: boolean,
  ) => {
    await tx.query(INSERT, [1])
    if (first) proxies[0].reset()
    await tx.query(INSERT, [2])
  }
  const error = await db
    .transaction(async (tx) => await cut(tx as never, true))
    .catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RolledBackError)
  expect(error).toMatchObject({ code: 'DB_ERR_CONNECTION_LOST', outcome: 'rolled-back' })
  expect(await ids()).toEqual([])
  let runs = 0
  await db.transaction({ retry: 1 }, async (tx) => await cut(tx as never, ++runs === 1))
  expect(runs).toBe(2)
  expect(await ids()).toEqual([1, 2])
})

test('a primary whose line goes dead is left; what was sent there ends as unknown, what was not runs later', async () => {
  await useOwnCluster()
  await db.query(INSERT, [0])
  proxies[0].set({ blackhole: true })
  const sent = db.query(INSERT, [1]).catch((error: unknown) => error)
  await expect.poll(() => db.topology().some((server) => server.primary), { timeout: 30_000 }).toBe(false)
  const waiting = db.query(INSERT, [2])
  await cluster.replicas[0]?.promote()
  await waiting
  expect(await sent).toMatchObject({ outcome: 'unknown' })
  expect(await ids()).toEqual([0, 2])
})

test('an error of the server inside a transaction keeps its code and says it rolled back', async () => {
  await db.query(INSERT, [1])
  const twice = db.transaction(async (tx) => tx.query(INSERT, [1]))
  await expect(twice).rejects.toMatchObject({ code: '23505', outcome: 'rolled-back' })
})
