import { type PostgresCluster, type PostgresNode, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRouter, OutcomeUnknownError, type Router } from '../../src/index.ts'
import { closed } from '../closed.ts'
import { PATIENT, settled } from '../settled.ts'

const KEYS = 48
/** Reads after each write. */
const READS = 12
const BOOKMARK = { secret: 'a secret of the test suite' }
const WAIT = { budget: 10 }
/** Versions checked at least. */
const FEWEST = Number(process.env.CAYS_READS ?? 100_000)
/** Length of one phase of faults; longer in soak runs. */
const PHASE = Number(process.env.CAYS_PHASE ?? 1_000)

const seed = Number(process.env.CAYS_SEED ?? Math.floor(Math.random() * 2 ** 31))
let state = seed || 1

function random(): number {
  state = (state * 48_271) % 2_147_483_647
  return state / 2_147_483_647
}

interface Violation {
  readonly key: number
  readonly how: string
  readonly expected: number
  readonly got: number
  readonly phase: string
}

let cluster: PostgresCluster
let one: Router
let two: Router

beforeAll(async () => {
  cluster = await startPostgres({
    replicas: 2,
    settings: { synchronous_commit: 'off', wal_writer_delay: '10ms' },
  })
  await cluster.primary.sql(
    `create table ledger (key int primary key, version int not null); insert into ledger select g, 0 from generate_series(1, ${KEYS}) g`,
  )
  await cluster.waitForCatchup()
  const { pool, buffer, fallback } = PATIENT
  const servers = { primary: cluster.url, replicas: [...cluster.urls.replicas], pool, buffer, fallback }
  one = createRouter({ ...servers, bookmark: BOOKMARK, wait: WAIT })
  two = createRouter({ ...servers, bookmark: BOOKMARK, wait: WAIT })
  await Promise.all([settled(one, 2), settled(two, 2)])
})

afterAll(async () => {
  await Promise.all([one?.close(), two?.close()])
  await cluster?.close()
})

test('no read ever misses what its session, its process or its bookmark has seen', {
  timeout: 3_600_000,
}, async () => {
  console.log(`seed ${seed}`)
  const violations: Violation[] = []
  const errors: unknown[] = []
  let phase = 'start'
  let stopped = false
  let reads = 0
  let onReplica = 0
  let writes = 0

  /** What was acknowledged of each key: the process must not miss any of it. */
  const acknowledged = new Map<number, number>()

  /** One statement that checks every key against all that this process had been told when it asked. */
  async function readAll(): Promise<void> {
    const expected = new Map(acknowledged)
    const { rows } = await one.query<{ key: number; version: number; replica: boolean }>(
      'select key, version, pg_is_in_recovery() as replica from ledger',
    )
    for (const { key, version, replica } of rows) {
      reads++
      if (replica) onReplica++
      const known = expected.get(key) ?? 0
      if (version < known) violations.push({ key, how: 'process', expected: known, got: version, phase })
    }
  }

  async function read(router: Router, key: number, expected: number, how: string): Promise<number> {
    const { rows } = await router.query<{ version: number; replica: boolean }>(
      'select version, pg_is_in_recovery() as replica from ledger where key = $1',
      [key],
    )
    reads++
    if (rows[0]?.replica) onReplica++
    const got = rows[0]?.version ?? -1
    if (got < expected) violations.push({ key, how, expected, got, phase })
    return got
  }

  async function write(key: number): Promise<number> {
    const { rows } = await one.query<{ version: number }>(
      'update ledger set version = version + 1 where key = $1 returning version',
      [key],
    )
    writes++
    acknowledged.set(key, rows[0]?.version as number)
    return rows[0]?.version as number
  }

  async function worker(key: number): Promise<void> {
    // Only this worker writes this key, so what it has seen is what everybody must see from then on.
    let seen = 0
    while (!stopped) {
      try {
        if (key % 3 === 0) {
          // Outside of sessions: the whole process.
          seen = await write(key)
          for (let count = 0; count < READS; count++) await readAll()
        } else if (key % 3 === 1) {
          await one.session(async () => {
            seen = await write(key)
            for (let count = 0; count < READS; count++) seen = await read(one, key, seen, 'session')
          })
        } else {
          const bookmark = await one.session(async (session) => {
            seen = await write(key)
            if (random() < 0.5) seen = await read(one, key, seen, 'session')
            return session.bookmark()
          })
          await two.session({ from: bookmark }, async () => {
            for (let count = 0; count < READS; count++) seen = await read(two, key, seen, 'bookmark')
          })
        }
      } catch (error) {
        if (closed(error)) return
        if (!(error instanceof OutcomeUnknownError)) errors.push(error)
      }
    }
  }

  async function during(name: string, begin: () => Promise<unknown>, end?: () => Promise<unknown>) {
    phase = name
    await begin()
    await new Promise((resolve) => setTimeout(resolve, PHASE))
    await end?.()
  }

  const any = () => cluster.replicas[Math.floor(random() * cluster.replicas.length)] as PostgresNode
  const each = (work: (node: PostgresNode) => Promise<unknown>) => Promise.all(cluster.replicas.map(work))
  const workers = Array.from({ length: KEYS }, (_, index) => worker(index + 1))

  await during('steady', async () => {})
  await during(
    'delayed apply',
    () => each((node) => node.lag(Math.floor(random() * 500))),
    () => each((node) => node.lag(0)),
  )
  const paused = any()
  await during(
    'one paused',
    () => paused.pauseReplay(),
    () => paused.resumeReplay(),
  )
  await during(
    'all paused',
    () => each((node) => node.pauseReplay()),
    () => each((node) => node.resumeReplay()),
  )
  const killed = any()
  await during(
    'one killed',
    () => killed.kill(),
    () => killed.start(),
  )
  await during('failover', () => cluster.failover({ old: 'stop' }))
  await during('after the failover', async () => {})

  while (reads < FEWEST) await new Promise((resolve) => setTimeout(resolve, 100))
  stopped = true
  await Promise.all(workers)
  console.log(`${reads} reads (${onReplica} on replicas), ${writes} writes, ${errors.length} errors`)
  expect(violations).toEqual([])
  expect(errors).toEqual([])
  expect(onReplica).toBeGreaterThan(reads / 10)
  expect(writes).toBeGreaterThan(100)
})
