import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRateLimiter, gcra } from '../../src/index.ts'
import { type FLEET_POLICIES, LEDGERS } from './fleet.ts'
import { type Admitted, LEASED, mostAbove, mostWithin } from './lease-fleet.ts'

const worker = new URL('./worker.ts', import.meta.url)
const leaseWorker = new URL('./lease-worker.ts', import.meta.url)
const PROCESSES = 8
const SOAK = process.env.CAYS_PHASE
const DURATION = Number(SOAK ?? 5_000)

type Decided = readonly [policy: keyof typeof FLEET_POLICIES, at: number, allowed: 0 | 1]

let server: StandaloneRedis
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  await server?.close()
})

/** What a process printed, once it is gone. */
function outputOf<Printed>(file: URL, ...parameters: (string | number)[]): Promise<Printed> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--conditions=@cays/source',
        fileURLToPath(file),
        server.url,
        ...parameters.map(String),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', reject)
    // Not 'exit': the pipe may still hold a part of the output then.
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve(JSON.parse(output) as Printed)
      else reject(new Error(`a worker ended with ${code ?? signal}`))
    })
  })
}

const fleetOf = <Value>(each: (index: number) => Value) =>
  Array.from({ length: PROCESSES }, (_, i) => each(i))

describe('several processes that hammer one subject', () => {
  it(
    'are admitted as one process would be: each decision is the one that all admissions before it allow',
    async () => {
      // Half of the fleet has clocks that are an hour wrong: only the server's counts.
      const skewOf = (index: number) => [0, 3_600_000, 0, -3_600_000][index % 4] ?? 0
      const decisions = (
        await Promise.all(fleetOf((index) => outputOf<Decided[]>(worker, DURATION, skewOf(index))))
      ).flat()
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
        if (SOAK) console.log(`${policy}: ${ordered.length} decisions, ${admitted} admitted`, wrong)
        expect({ policy, ...wrong }).toEqual({ policy, over: 0, under: 0 })
        expect(ordered.length, policy).toBeGreaterThan(admitted)
        expect(admitted, policy).toBeGreaterThanOrEqual(20)
      }
    },
    DURATION + 120_000,
  )

  it(
    'with leases are admitted what the limit allows and what was leased, and what they did not use is given back',
    async () => {
      const admitted = (
        await Promise.all(
          fleetOf(() => outputOf<Admitted[]>(leaseWorker, 'leased', DURATION, 1_000, 'close')),
        )
      ).flat()
      const of = (name: string) => admitted.filter(([policy]) => policy === name)
      expect(admitted.filter(([, , , leased]) => leased === 1).length).toBeGreaterThan(0)
      const outstanding = LEASED.maxShare * 400
      const above = {
        gcra: mostAbove(of('gcra'), 800, 400 / 1_000_000),
        log: mostWithin(of('log'), 1_000_000) - 400,
      }
      if (SOAK) console.log(`at most above the limits, of ${outstanding} units leased:`, above)
      expect(above.gcra).toBeLessThanOrEqual(outstanding)
      expect(above.log).toBeLessThanOrEqual(outstanding)
      // Of a window exactly what the limit says, and nothing is held back.
      const { limit } = LEASED.policies.fixed
      expect(of('fixed').length).toBeLessThanOrEqual(limit)
      expect(await leftOf('leased')).toBe(limit - of('fixed').length)
    },
    DURATION + 120_000,
  )

  it('leave at most their leases charged when they are killed', async () => {
    const admitted = await outputOf<Admitted[]>(leaseWorker, 'killed', 0, 250, 'die')
    const { limit } = LEASED.policies.fixed
    const charged = limit - (await leftOf('killed'))
    expect(admitted.at(-1)?.[3]).toBe(1)
    expect(charged).toBeGreaterThan(admitted.length)
    expect(charged).toBeLessThanOrEqual(admitted.length + LEASED.maxShare * limit)
  })

  async function leftOf(prefix: string): Promise<number> {
    const redis = new Redis(server.url)
    await using limiter = createRateLimiter({ redis, prefix, timeout: '30s', policies: LEASED.policies })
    const { policies } = await limiter.peek('fixed', { policies: ['fixed'] })
    redis.disconnect()
    return policies.fixed?.remaining ?? Number.NaN
  }

  it('leave no charge behind for what they denied', async () => {
    const redis = new Redis(server.url)
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
