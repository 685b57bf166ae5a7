import { readFileSync } from 'node:fs'
import { redisScript } from '@cays/core/redis-script'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixedWindow, gcra, slidingLog, slidingWindow, tokenBucket } from '../../src/index.ts'
import { MODE } from '../../src/operation.ts'
import { decideScript } from '../../src/redis-decide.ts'
import { RedisStore } from '../../src/redis-store.ts'
import { Shapes } from '../../src/shapes.ts'
import { playScenario } from '../model/scenario.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))

// The script as it is, but for the clock, which the test sets; keys live on, should the real one be faster.
const clocked = redisScript(
  decideScript.lua
    .replace("call('TIME')", "call('MGET', 'clock:s', 'clock:us')")
    .replace('/ 1000) + 1000', '/ 1000) + 600000'),
)

let server: StandaloneRedis
let redis: Redis
let clock: Redis
beforeAll(async () => {
  server = await startRedis()
  clock = new Redis(server.url)
  // A user who may do no more than the README lists. Connecting itself needs HELLO and the like.
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const section = readme.slice(readme.indexOf('## Redis commands'), readme.indexOf('## Compatibility'))
  const commands = [...section.matchAll(/`([A-Z\s]+)`/g)].flatMap(([, names = '']) => names.split(/\s+/))
  const rules = commands.map((command) => `+${command.toLowerCase()}`)
  await server.acl('app', 'on', '>secret', '~model*', '~clock:*', '-@all', '+@connection', '+info', ...rules)
  redis = new Redis(server.url, { username: 'app', password: 'secret' })
})
afterAll(async () => {
  redis?.disconnect()
  clock?.disconnect()
  await server?.close()
})

describe('the Redis script', () => {
  it(`answers like the reference in every field of every decision (seed ${seed})`, async () => {
    let compared = 0
    for (let round = 0; round < 8; round++) {
      const store = new RedisStore({
        client: redis,
        prefix: `model${round}`,
        partitions: 8,
        timeout: 5_000,
        onFailure: () => {},
        script: clocked,
      })
      compared += await playScenario(
        {
          async run(now, operations) {
            await clock.mset('clock:s', Math.floor(now / 1_000_000), 'clock:us', now % 1_000_000)
            return await Promise.all(operations.map(({ shape, subject }) => store.run(shape, subject)))
          },
        },
        seed + round,
        400,
      )
      await store.close()
    }
    expect(compared).toBeGreaterThan(3_000)
  })

  it('grants nothing when the server clock is set back, and locks nobody out until it has caught up', async () => {
    const limiter = new RedisStore({
      client: redis,
      prefix: 'model-back',
      partitions: 8,
      timeout: 5_000,
      onFailure: () => {},
      script: clocked,
    })
    const shapes = new Shapes({
      gcra: gcra({ limit: 3, per: '1s' }),
      step: tokenBucket({ capacity: 3, per: '1s', style: 'interval' }),
      fixed: fixedWindow({ limit: 3, per: '1s' }),
      sliding: slidingWindow({ limit: 3, per: '1s' }),
      log: slidingLog({ limit: 3, per: '1s' }),
    })
    const ask = async (at: number, policy: string) => {
      await clock.mset('clock:s', Math.floor(at / 1_000_000), 'clock:us', at % 1_000_000)
      const { granted } = await limiter.run(shapes.of(MODE.check, { policies: [policy] }), 'subject')
      return granted
    }
    const start = Date.UTC(2026, 2, 10, 12) * 1_000
    const back = start - 600_000_000
    for (const policy of shapes.names) {
      for (let use = 0; use < 3; use++) expect(await ask(start + use, policy), policy).toBe(true)
      expect(await ask(start + 3, policy), policy).toBe(false)
      expect(await ask(back, policy), `${policy}, set back`).toBe(false)
      expect(await ask(back + 100_000, policy), `${policy}, a little later`).toBe(false)
      expect(await ask(back + 2_100_000, policy), `${policy}, after its window`).toBe(true)
    }
    await limiter.close()
  })
})
