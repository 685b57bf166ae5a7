import { existsSync } from 'node:fs'
import { Client } from 'pg'
import { expect, it } from 'vitest'
import type { PostgresCluster, PostgresNode } from '../../src/index.ts'
import { startPostgres } from '../../src/index.ts'
import { readProcess } from '../../src/process-table.ts'

const SEED = Number(process.env.CAYS_SEED ?? Math.floor(Math.random() * 2 ** 31))
const STEPS = 14

// Mulberry32 (Tommy Ettinger, public domain).
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Writes numbers to whoever is primary and remembers those whose commit was confirmed. */
function writer(pg: PostgresCluster) {
  const confirmed: number[] = []
  let stopped = false
  const done = (async () => {
    for (let next = 1; !stopped; next++) {
      const client = new Client({
        connectionString: pg.url,
        connectionTimeoutMillis: 300,
        query_timeout: 500,
      })
      client.on('error', () => {})
      try {
        await client.connect()
        await client.query('insert into written values ($1)', [next])
        confirmed.push(next)
      } catch {
        // Not confirmed: it may be there or not.
      } finally {
        await client.end().catch(() => {})
      }
    }
  })()
  return {
    confirmed,
    async stop() {
      stopped = true
      await done
    },
  }
}

it(`keeps every confirmed write of a synchronous cluster through random faults (CAYS_SEED=${SEED})`, async () => {
  console.log(`CAYS_SEED=${SEED}`)
  const random = seeded(SEED)
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  const pg = await startPostgres({ replicas: 2, synchronous: { count: 1 } })
  await pg.primary.sql('create table written (n int)')
  const writes = writer(pg)
  const running = () => pg.replicas.filter((replica) => replica.state === 'running')

  const faults: Record<string, (replica: PostgresNode) => Promise<unknown>> = {
    kill: async (replica) => {
      await replica.kill()
      await replica.start()
    },
    stop: async (replica) => {
      await replica.stop({ mode: 'immediate' })
      await replica.start()
    },
    freeze: async (replica) => {
      await replica.freeze({ scope: random() < 0.5 ? 'all' : 'postmaster' })
      await replica.thaw()
    },
    lag: async (replica) => {
      await replica.lag(random() < 0.5 ? '100ms' : 0)
    },
    pause: async (replica) => {
      await replica.pauseReplay()
      await replica.resumeReplay()
    },
    conflict: (replica) => pg.recoveryConflict(replica),
    'crash of the primary': async () => {
      await pg.primary.kill()
      await pg.primary.start()
    },
    failover: async () => {
      const old = pg.primary
      await pg.failover()
      await old.repoint(pg.primary, { rebuild: true })
    },
  }
  const history: string[] = []
  try {
    for (let step = 0; step < STEPS; step++) {
      const replica = pick(running())
      const name = pick(Object.keys(faults))
      if (!replica || !name) throw new Error('every node runs between two faults')
      history.push(`${name} ${replica.name}`)
      await faults[name]?.(replica)
    }
    await writes.stop()
    await Promise.all(pg.replicas.map((replica) => replica.lag(0)))
    await pg.waitForCatchup()
    for (const node of pg.nodes) {
      const rows = await node.sql('select n from written')
      const present = new Set(rows.map((row) => Number(row.n)))
      expect({ node: node.name, lost: writes.confirmed.filter((n) => !present.has(n)) }).toEqual({
        node: node.name,
        lost: [],
      })
    }
    expect(writes.confirmed.length).toBeGreaterThan(0)
  } catch (error) {
    throw new Error(`after ${history.join(', ')}`, { cause: error })
  } finally {
    await writes.stop()
    const pids = pg.nodes.flatMap((node) => node.pid ?? [])
    const folders = pg.nodes.map((node) => node.data)
    await pg.close()
    expect(pids.filter((pid) => readProcess(pid))).toEqual([])
    expect(folders.filter(existsSync)).toEqual([])
  }
})
