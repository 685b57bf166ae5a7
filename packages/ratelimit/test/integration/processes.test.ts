import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url))
const PROCESSES = 4
const DURATION = 2_500

interface Admission {
  readonly policy: string
  /** Server time in milliseconds. */
  readonly at: number
}

let server: StandaloneRedis
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  await server?.close()
})

/** Runs one process of the fleet; its clock may be wrong by `skew` milliseconds. */
function run(skew: number): Promise<Admission[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--conditions=@cays/source', worker, server.url, String(DURATION), String(skew)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Admission[])
      else reject(new Error(`a worker ended with ${code}`))
    })
  })
}

describe('several processes that hammer one subject', () => {
  it('admit together what the limits allow: no unit more in any window, and no unit less', async () => {
    // Half of the fleet has clocks that are an hour wrong: only the server's counts.
    const skews = [0, 3_600_000, -3_600_000, 0]
    const admissions = (await Promise.all(skews.slice(0, PROCESSES).map(run))).flat()
    const timesOf = (policy: string) =>
      admissions
        .filter((admission) => admission.policy === policy)
        .map(({ at }) => at)
        .sort((a, b) => a - b)

    // Admissions between any two of them, over the time between them: at most the burst plus the refill.
    const gcraTimes = timesOf('gcra')
    for (let from = 0; from < gcraTimes.length; from++) {
      for (let to = from; to < gcraTimes.length; to++) {
        const span = (gcraTimes[to] as number) - (gcraTimes[from] as number)
        expect(to - from + 1).toBeLessThanOrEqual(20 + Math.floor((span + 0.002) * 0.05))
      }
    }
    // The log: never more than 30 in any 500 ms.
    const logTimes = timesOf('log')
    for (let from = 0; from + 30 < logTimes.length; from++) {
      expect((logTimes[from + 30] as number) - (logTimes[from] as number)).toBeGreaterThanOrEqual(500)
    }
    // The fixed window: full windows, one after the other.
    const fixedTimes = timesOf('fixed')
    for (let from = 0; from + 25 < fixedTimes.length; from += 25) {
      expect((fixedTimes[from + 25] as number) - (fixedTimes[from] as number)).toBeGreaterThanOrEqual(400)
    }
    // Nothing is withheld: under constant demand every limit is used up to the last unit.
    const lasted = (times: readonly number[]) => (times.at(-1) as number) - (times[0] as number)
    expect(gcraTimes.length).toBeGreaterThanOrEqual(20 + Math.floor(lasted(gcraTimes) * 0.05) - 1)
    expect(logTimes.length).toBeGreaterThanOrEqual(30 * Math.floor(lasted(logTimes) / 550))
    expect(fixedTimes.length).toBeGreaterThanOrEqual(25 * Math.floor(lasted(fixedTimes) / 450))
  })

  it('leave no charge behind for what they denied', async () => {
    const redis = new Redis(server.url)
    const { createRateLimiter, gcra } = await import('../../src/index.ts')
    await using limiter = createRateLimiter({
      redis,
      prefix: 'mix',
      timeout: '2s',
      policies: { loose: gcra({ limit: 1_000, per: '1h' }), strict: gcra({ limit: 7, per: '1h' }) },
    })
    const decisions = await Promise.all(Array.from({ length: 500 }, () => limiter.check('one')))
    expect(decisions.filter((decision) => decision.allowed)).toHaveLength(7)
    expect((await limiter.peek('one')).policies.loose?.remaining).toBe(993)
    redis.disconnect()
  })
})
