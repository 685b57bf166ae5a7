import { type PostgresCluster, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router } from '../../src/index.ts'
import { closed } from '../closed.ts'
import { PATIENT, settled } from '../settled.ts'

/** Failovers one after the other; more in soak runs. */
const ROUNDS = Number(process.env.CAYS_FAILOVERS ?? 1)
const WRITERS = 4

let cluster: PostgresCluster
let db: Router

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  await cluster.primary.sql('create table ledger (id int primary key)')
  await cluster.synchronous({ count: 1 })
  await cluster.waitForCatchup()
  const [primary = '', ...replicas] = cluster.nodes.map((node) => node.url)
  db = createRouter({ primary, replicas, pool: PATIENT.pool, buffer: PATIENT.buffer })
  await settled(db, 2)
})

afterAll(async () => {
  await db?.close()
  await cluster?.close()
})

/** Writes numbers that nobody else writes until stopped, and keeps what the router said of each. */
function writers() {
  let stopped = false
  let next = 0
  const acknowledged: { readonly id: number; readonly at: number; readonly port: number }[] = []
  const refused: { readonly id: number; readonly outcome: unknown; readonly code: unknown }[] = []
  const loops = Array.from({ length: WRITERS }, async () => {
    while (!stopped) {
      const id = next++
      try {
        const { rows } = await db.query(
          'insert into ledger values ($1) returning inet_server_port() as port',
          [id],
        )
        acknowledged.push({ id, at: performance.now(), port: rows[0]?.port })
      } catch (error) {
        if (closed(error)) return
        const { outcome, code } = error as { outcome?: unknown; code?: unknown }
        refused.push({ id, outcome, code })
      }
    }
  })
  const stop = async () => {
    stopped = true
    await Promise.all(loops)
  }
  return { acknowledged, refused, stop }
}

/** When the first of the replicas takes writes. */
async function promotion(): Promise<number> {
  const nodes = cluster.replicas
  for (;;) {
    for (const node of nodes) {
      const [row] = await node.sql('select pg_is_in_recovery()::text as standby').catch(() => [])
      if (row?.standby === 'false') return performance.now()
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

test('over failovers no acknowledged write is lost, none is done twice, and none that failed was done in secret', {
  timeout: 60_000 + ROUNDS * 60_000,
}, async () => {
  const delays: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const writes = writers()
    await expect.poll(() => writes.acknowledged.length).toBeGreaterThan(20)
    const old = cluster.primary
    const [ended, promoted] = await Promise.all([promotion(), cluster.failover()])
    const there = () => writes.acknowledged.filter(({ port }) => port === promoted.port)
    await expect.poll(() => there().length, { timeout: 50_000 }).toBeGreaterThan(20)
    await writes.stop()
    delays.push(Math.max(0, (there()[0]?.at ?? Number.NaN) - ended))

    const stored = new Set((await cluster.primary.sql('select id from ledger')).map((row) => Number(row.id)))
    expect(writes.acknowledged.filter(({ id }) => !stored.has(id))).toEqual([])
    // Whoever is told that nothing happened can rely on it. A statement sent twice would be a duplicate key here.
    expect(writes.refused.filter(({ outcome }) => outcome !== 'unknown')).toEqual([])
    await cluster.primary.sql('truncate ledger')

    if (round + 1 === ROUNDS) break
    await old.repoint(promoted, { rebuild: true })
    await cluster.synchronous({ count: 1 })
    await settled(db, 2)
  }
  console.log(
    `end of promotion to first acknowledged write: p50 ${quantile(delays, 0.5).toFixed(0)} ms, p99 ${quantile(delays, 0.99).toFixed(0)} ms over ${ROUNDS}`,
  )
})
