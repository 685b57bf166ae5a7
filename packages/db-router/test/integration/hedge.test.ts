import { tracingChannel } from 'node:diagnostics_channel'
import { type FaultProxy, type PostgresCluster, startFaultProxy, startPostgres } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { hedging } from '../../src/hedge.ts'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'
import { PATIENT, settled } from '../settled.ts'

const COUNT = 'select count(*)::int as count, bool_and(pg_is_in_recovery()) as replica from notes'

let cluster: PostgresCluster
let proxies: readonly FaultProxy[]
const routers: Router[] = []

async function router(options: Partial<RouterOptions> = {}): Promise<Router> {
  const made = createRouter({
    ...PATIENT,
    primary: cluster.url,
    replicas: proxies.map((proxy) => proxy.url),
    ...options,
  })
  routers.push(made)
  await settled(made, 2)
  return made
}

/** What telemetry says of each try. */
const tries: { readonly reason: unknown; readonly outcome: string | undefined; readonly failed: boolean }[] =
  []
const handlers = {
  start() {},
  end() {},
  asyncStart() {},
  error() {},
  asyncEnd(message: object) {
    const { attributes, outcome, error } = message as {
      attributes: Record<string, unknown>
      outcome?: string
      error?: unknown
    }
    tries.push({ reason: attributes['cays.reason'], outcome, failed: error !== undefined })
  },
}
const channel = tracingChannel('cays:db-router:query')

function second() {
  return tries.filter(({ reason }) => reason === 'hedge')
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  await cluster.primary.sql("create table notes (body text); insert into notes values ('first')")
  await cluster.waitForCatchup()
  proxies = await Promise.all(cluster.replicas.map((replica) => startFaultProxy(replica.url)))
})

beforeEach(() => channel.subscribe(handlers))

afterEach(async () => {
  channel.unsubscribe(handlers)
  tries.length = 0
  await Promise.all(proxies.map((proxy) => proxy.heal()))
  await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
  await Promise.all(routers.splice(0).map((made) => made.close()))
})

afterAll(async () => {
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()))
  await cluster?.close()
})

test('a read whose server is late is answered by another, and the late one is given up without an error', async () => {
  const db = await router({ consistency: 'eventual', hedge: hedging({ after: 20, budget: 1 }) })
  proxies[0]?.set({ latency: '1s' })
  await expect
    .poll(async () => {
      expect((await db.query(COUNT)).rows[0]?.replica).toBe(true)
      return tries.some(({ outcome, failed }) => outcome === 'superseded' && !failed)
    })
    .toBe(true)
  expect(second().some(({ outcome }) => outcome === 'ok')).toBe(true)
  // What was given up is over on both servers before the router is closed.
  await db.close()
  expect(db.topology().map(({ inFlight }) => inFlight)).toEqual([0, 0, 0])
})

test('when every server is slow the second reads stay within the budget', async () => {
  const hedge = hedging({ after: 1, budget: 0.2 })
  const db = await router({ consistency: 'eventual' })
  for (const proxy of proxies) proxy.set({ latency: 20 })
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 8 }, () => db.query({ text: COUNT, hedge })))
  }
  expect(second().length).toBeLessThanOrEqual(8)
})

test('the second read shows what the session has written, though its replica stands still', async () => {
  const db = await router({ hedge: hedging({ after: 5, budget: 1 }) })
  await cluster.replicas[1]?.pauseReplay()
  proxies[0]?.set({ latency: 100 })
  for (let round = 0; round < 5; round++) {
    await db.session(async () => {
      const { rows: before } = await db.query(COUNT)
      await db.query("insert into notes values ('seen')")
      const { rows } = await db.query(COUNT)
      expect(rows[0]?.count).toBeGreaterThan(before[0]?.count)
      const { rows: again } = await db.query(COUNT)
      expect(again[0]?.count).toBeGreaterThanOrEqual(rows[0]?.count)
    })
  }
})

test('reads of a session never go back in time, whichever server answers', async () => {
  const db = await router({ hedge: hedging({ after: 1, budget: 1 }) })
  for (const proxy of proxies) proxy.set({ latency: 5, jitter: 20 })
  let stopped = false
  const writing = (async () => {
    while (!stopped) await cluster.primary.sql("insert into notes values ('more')")
  })()
  await Promise.all(
    Array.from({ length: 4 }, () =>
      db.session(async () => {
        let seen = 0
        for (let round = 0; round < 20; round++) {
          const { rows } = await db.query(COUNT)
          expect(rows[0]?.count).toBeGreaterThanOrEqual(seen)
          seen = rows[0]?.count
        }
      }),
    ),
  )
  stopped = true
  await writing
})

test('what is no read, or in a transaction, or not to be repeated, is sent once', async () => {
  const db = await router({ hedge: hedging({ after: 0, budget: 1 }) })
  for (const proxy of proxies) proxy.set({ latency: 20 })
  const { rows } = await db.query("insert into notes values ('once') returning body")
  expect(rows.length).toBe(1)
  await db.transaction({ readOnly: true }, async (tx) => await tx.query(COUNT))
  await db.query({ text: COUNT, idempotent: false })
  await db.query({ text: COUNT, route: 'primary' })
  await db.query({ text: COUNT, consistency: 'strong' })
  await db.query({ text: COUNT, hedge: false })
  expect(second()).toEqual([])
  const stored = await cluster.primary.sql("select count(*) as count from notes where body = 'once'")
  expect(stored).toEqual([{ count: '1' }])
})

test('the caller can give up both', async () => {
  const db = await router({ consistency: 'eventual' })
  for (const proxy of proxies) proxy.set({ latency: '1s' })
  const controller = new AbortController()
  const { signal } = controller
  const read = db.query({ text: COUNT, hedge: hedging({ after: 1, budget: 1 }), signal })
  setTimeout(() => controller.abort(new Error('the visitor left')), 50)
  await expect(read).rejects.toThrow('the visitor left')
})
