import { Redis } from 'ioredis'
import { decisionOf } from '../../src/decision.ts'
import { MODE } from '../../src/operation.ts'
import { RedisStore } from '../../src/redis-store.ts'
import { Shapes } from '../../src/shapes.ts'
import { FLEET_POLICIES } from './fleet.ts'

// One process of a fleet: asks as fast as it can for one subject and prints every admission, and denials not
// more than half a millisecond apart, by the server's clock. Arguments: url, duration in ms, error of this
// process' clock in ms.
const [url = '', duration = '1000', skew = '0'] = process.argv.slice(2)
const wrong = Number(skew)
const right = Date.now
Date.now = () => right() + wrong

const redis = new Redis(url)
const store = new RedisStore({
  client: redis,
  prefix: 'fleet',
  partitions: 128,
  timeout: 30_000,
  onFailure: (error) => {
    throw error
  },
})
const shapes = new Shapes(FLEET_POLICIES)
const decisions: [policy: string, at: number, allowed: number][] = []
const end = right() + Number(duration)
const ask = async (policy: string) => {
  const shape = shapes.of(MODE.check, { policies: [policy] })
  let denied = 0
  while (right() < end) {
    const outcome = await store.run(shape, 'subject')
    const { allowed } = decisionOf(shape, outcome, 'redis')
    if (!allowed && outcome.now < denied + 500) continue
    if (!allowed) denied = outcome.now
    decisions.push([policy, outcome.now, allowed ? 1 : 0])
  }
}
await Promise.all(shapes.names.flatMap((policy) => [ask(policy), ask(policy)]))
await store.close()
redis.disconnect()
process.stdout.write(JSON.stringify(decisions))
