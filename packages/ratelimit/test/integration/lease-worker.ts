import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createRateLimiter } from '../../src/index.ts'
import { LEASED } from './lease-fleet.ts'

// One process of a fleet with leases: asks for one subject and prints every admission with the times, in
// microseconds, before it asked and after it had its answer. With 'die' it kills itself when it has spent the
// first unit of a lease. Arguments: url, prefix, duration in ms, heartbeat in ms, 'close' or 'die'.
//
// Half of the time nobody asks, so that there is room for leases of what is short otherwise.
const [url = '', prefix = '', duration = '1000', heartbeat = '1000', end = 'close'] = process.argv.slice(2)

const redis = new Redis(url)
const limiter = createRateLimiter({
  redis,
  prefix,
  timeout: '30s',
  heartbeat: Number(heartbeat),
  lease: { maxShare: LEASED.maxShare },
  policies: LEASED.policies,
})
const now = () => (performance.timeOrigin + performance.now()) * 1_000
const admitted: [policy: string, asked: number, answered: number, leased: number][] = []

async function ask(policy: keyof typeof LEASED.policies): Promise<void> {
  const until = performance.now() + Number(duration)
  while (performance.now() < until || end === 'die') {
    const asked = now()
    const { allowed, source } = await limiter.check(policy, { policies: [policy] })
    if (source !== 'redis' && source !== 'lease' && source !== 'cache') throw new Error(`${source} decided`)
    if (allowed) admitted.push([policy, asked, now(), source === 'lease' ? 1 : 0])
    if (end === 'die' && source === 'lease') {
      writeSync(1, JSON.stringify(admitted))
      process.kill(process.pid, 'SIGKILL')
    }
    // Answers out of memory never let the event loop turn.
    await pause(allowed ? 0 : 5)
    if (end !== 'die') while (Math.floor(now() / 700_000) % 2 === 1) await pause(20)
  }
}

const policies = Object.keys(LEASED.policies) as (keyof typeof LEASED.policies)[]
await Promise.all(policies.filter((policy) => end !== 'die' || policy === 'fixed').map(ask))
await limiter.close()
redis.disconnect()
process.stdout.write(JSON.stringify(admitted))
