import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorkers, type Worker } from '../workers.ts'

const PROCESSES = 8
const CALLERS = 100

let server: StandaloneRedis
let redis: Redis
let workers: readonly Worker[]

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
  workers = await startWorkers(PROCESSES, server.url, 'stampede')
})

afterAll(async () => {
  await Promise.all((workers ?? []).map((worker) => worker[Symbol.asyncDispose]()))
  redis?.disconnect()
  await server?.close()
})

const loadsOf = async (key: string) => Number(await redis.get(`loads:${key}`))

describe(`${PROCESSES} processes with ${CALLERS} callers each, one cold key`, () => {
  it('run exactly one load, and all callers get its value', async () => {
    for (let round = 0; round < 2; round++) {
      const key = `cold${round}`
      const order = { do: 'stampede', key, callers: CALLERS, loader: 200 } as const
      const reports = await Promise.all(workers.map((worker) => worker.ask(order)))
      expect(await loadsOf(key)).toBe(1)
      const values = reports.flatMap((report) => report.values)
      expect(values).toHaveLength(PROCESSES * CALLERS)
      expect(new Set(values).size).toBe(1)
      // Nobody waited for a deadline to pass; that the end of a load is told at once is tested without a clock.
      for (const { slowest } of reports) expect(slowest).toBeLessThan(20_000)
    }
  })

  it('run one load per back-off window when it fails, and all callers are rejected', async () => {
    const order = { do: 'fail', key: 'failing', callers: CALLERS } as const
    const reports = await Promise.all(workers.map((worker) => worker.ask(order)))
    expect(reports.flatMap((report) => report.errors)).toHaveLength(PROCESSES * CALLERS)
    expect(await loadsOf('failing')).toBe(1)
  })

  it('run a second load when the process that loads is killed, and keep its value', async () => {
    const order = { do: 'stampede', key: 'orphan', callers: CALLERS, loader: 1_000 } as const
    const asked = workers.map((worker) => worker.ask(order))
    const holder = await holderOf('orphan')
    holder.process.kill('SIGKILL')
    const reports = await Promise.all(asked)
    expect(await loadsOf('orphan')).toBe(2)
    const values = reports.flatMap((report) => report.values)
    expect(values).toHaveLength((PROCESSES - 1) * CALLERS)
    expect(new Set(values).size).toBe(1)
    expect(values[0]).not.toContain(`${holder.process.pid}:`)
  })

  it('refuse the late write of a process that was frozen past its lease', async () => {
    const order = { do: 'stampede', key: 'frozen', callers: 1, loader: 1_000 } as const
    const alive = workers.filter((worker) => worker.process.signalCode === null)
    const asked = alive.map((worker) => worker.ask(order))
    const holder = await holderOf('frozen')
    holder.process.kill('SIGSTOP')
    const others = await Promise.all(asked.filter((_, i) => alive[i] !== holder))
    const values = new Set(others.flatMap((report) => report.values))
    expect(values.size).toBe(1)
    holder.process.kill('SIGCONT')
    await Promise.all(asked)
    expect(await loadsOf('frozen')).toBe(2)
    const [kept] = await Promise.all(
      alive.filter((worker) => worker !== holder).map((worker) => worker.ask(order)),
    )
    expect(kept?.values[0]).toBe([...values][0])
    const stored = await redis.get('cays:cache:{stampede@1:frozen}')
    expect(stored).toContain([...values][0])
  })

  /** The process whose loader runs: it has the count of its load, and it is the one that knows it. */
  async function holderOf(key: string): Promise<Worker> {
    while ((await loadsOf(key)) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const by = await redis.get(`by:${key}`)
    const holder = workers.find((worker) => String(worker.process.pid) === by)
    if (!holder) throw new Error('nobody loads')
    return holder
  }
})
