import { Redis } from 'ioredis'
import { decisionOf } from '../../src/decision.ts'
import { fixedWindow, gcra, slidingLog } from '../../src/index.ts'
import { MODE } from '../../src/operation.ts'
import { RedisStore } from '../../src/redis-store.ts'
import { Shapes } from '../../src/shapes.ts'

// One process of a fleet: asks as fast as it can for one subject and prints when it was admitted, by the
// server's clock. Arguments: url, duration in ms, error of this process' clock in ms.
const [url = '', duration = '1000', skew = '0'] = process.argv.slice(2)
const wrong = Number(skew)
const right = Date.now
Date.now = () => right() + wrong

const redis = new Redis(url)
const store = new RedisStore({
  client: redis,
  prefix: 'fleet',
  partitions: 128,
  timeout: 10_000,
  onFailure: (error) => {
    throw error
  },
})
const shapes = new Shapes({
  gcra: gcra({ limit: 50, per: '1s', burst: 20 }),
  log: slidingLog({ limit: 30, per: 500 }),
  fixed: fixedWindow({ limit: 25, per: 400 }),
})
const admissions: { policy: string; at: number }[] = []
const end = right() + Number(duration)
const ask = async (policy: string) => {
  const shape = shapes.of(MODE.check, { policies: [policy] })
  while (right() < end) {
    const outcome = await store.run(shape, 'subject')
    if (decisionOf(shape, outcome, 'redis').allowed) admissions.push({ policy, at: outcome.now / 1_000 })
  }
}
await Promise.all(['gcra', 'log', 'fixed'].flatMap((policy) => [ask(policy), ask(policy), ask(policy)]))
await store.close()
redis.disconnect()
process.stdout.write(JSON.stringify(admissions))
