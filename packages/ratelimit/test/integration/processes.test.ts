import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FLEET_POLICIES, LEDGERS } from './fleet.ts'

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url))
const PROCESSES = 8
const DURATION = Number(process.env.CAYS_PHASE ?? 5_000)

type Decided = readonly [policy: keyof typeof FLEET_POLICIES, at: number, allowed: 0 | 1]

let server: StandaloneRedis
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  await server?.close()
})

/** Runs one process of the fleet; its clock may be wrong by `skew` milliseconds. */
function run(skew: number): Promise<Decided[]> {
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
    // Not 'exit': the pipe may still hold a part of the output then.
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Decided[])
      else reject(new Error(`a worker ended with ${code}`))
    })
  })
}

describe('several processes that hammer one subject', () => {
  it(
    'are admitted as one process would be: each decision is the one that all admissions before it allow',
    async () => {
      // Half of the fleet has clocks that are an hour wrong: only the server's counts.
      const skews = Array.from(
        { length: PROCESSES },
        (_, index) => [0, 3_600_000, 0, -3_600_000][index % 4] ?? 0,
      )
      const decisions = (await Promise.all(skews.map(run))).flat()
      for (const [policy, ledgerOf] of Object.entries(LEDGERS)) {
        const ledger = ledgerOf()
        // Decisions of one batch have one time; there its admissions come first.
        const ordered = decisions
          .filter(([name]) => name === policy)
          .sort(([, at, allowed], [, otherAt, otherAllowed]) => at - otherAt || otherAllowed - allowed)
        const wrong = { over: 0, under: 0 }
        let admitted = 0
        for (const [, at, allowed] of ordered) {
          const fits = ledger.fits(at)
          if (allowed) {
            ledger.admit(at)
            admitted++
            if (!fits) wrong.over++
          } else if (fits) wrong.under++
        }
        expect({ policy, ...wrong }).toEqual({ policy, over: 0, under: 0 })
        expect(ordered.length, policy).toBeGreaterThan(admitted)
        expect(admitted, policy).toBeGreaterThanOrEqual(20)
      }
    },
    DURATION + 120_000,
  )

  it('leave no charge behind for what they denied', async () => {
    const redis = new Redis(server.url)
    const { createRateLimiter, gcra } = await import('../../src/index.ts')
    await using limiter = createRateLimiter({
      redis,
      prefix: 'mix',
      timeout: '30s',
      policies: { loose: gcra({ limit: 1_000, per: '1h' }), strict: gcra({ limit: 7, per: '1h' }) },
    })
    const decisions = await Promise.all(Array.from({ length: 500 }, () => limiter.check('one')))
    expect(decisions.filter((decision) => decision.allowed)).toHaveLength(7)
    expect((await limiter.peek('one')).policies.loose?.remaining).toBe(993)
    redis.disconnect()
  })
})
