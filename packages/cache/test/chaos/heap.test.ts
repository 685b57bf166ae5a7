import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@cays/testkit'
import { describe, expect, it } from 'vitest'
import { pause } from '../fleet.ts'
import type { HeapReport } from '../heap-worker.ts'

/** How long Redis is away; ten minutes in `npm run soak`. */
const OUTAGE = Number(process.env.CACHE_OUTAGE ?? 2_000)

function startWorker(...args: readonly string[]) {
  return fork(fileURLToPath(new URL('../heap-worker.ts', import.meta.url)), args, {
    execArgv: ['--expose-gc', '--import', 'tsx', '--conditions=@cays/source'],
  })
}

describe('the heap', () => {
  it('holds about what the cache says, and the cache never says more than it may', async () => {
    const worker = startWorker('fill')
    const [report] = (await once(worker, 'message')) as [Extract<HeapReport, { limit: number }>]
    expect(report.highest).toBeLessThanOrEqual(report.limit)
    expect(report.highest).toBeGreaterThan(report.limit / 2)
    expect(report.grown / report.tracked).toBeGreaterThan(0.75)
    expect(report.grown / report.tracked).toBeLessThan(1.25)
  }, 120_000)

  it(
    `is what it was after Redis was away for ${OUTAGE} ms`,
    async () => {
      const server = await startRedis()
      const worker = startWorker('live', server.url)
      const ask = async () => {
        worker.send('heap')
        const [report] = (await once(worker, 'message')) as [{ readonly heap: number }]
        return report.heap
      }
      try {
        await once(worker, 'message')
        const outage = async (lasting: number) => {
          await server.kill()
          await pause(lasting)
          await server.start()
          return await ask()
        }
        // What is compiled and allocated once is there after the first.
        await ask()
        const before = await outage(500)
        const after = await outage(OUTAGE)
        expect(after / before).toBeGreaterThan(0.9)
        expect(after / before).toBeLessThan(1.05)
      } finally {
        worker.kill('SIGKILL')
        await server.close()
      }
    },
    OUTAGE + 120_000,
  )
})
