import { createCache } from '@cays/cache'
import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'

const NODES = 8
const CALLERS = 100
const LOADER = 200

/** The nodes share a process here; `test/chaos/stampede.test.ts` has a process for each. */
export const benchmark = defineCase({
  operation: `a cold key wanted by ${NODES} nodes with ${CALLERS} callers each, loaded in ${LOADER} ms`,
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/cache',
      async prepare({ redisUrl }) {
        const clients = Array.from({ length: NODES }, () => new Redis(redisUrl))
        const name = `stampede${process.pid}`
        const caches = clients.map((redis) => createCache({ name, redis, ttl: '1h', l2: { timeout: '10s' } }))
        await Promise.all(caches.map((cache) => cache.get('warm')))
        let key = 0
        return {
          async run(count) {
            let loads = 0
            let waits: readonly number[] = []
            const load = async () => {
              loads++
              await new Promise((resolve) => setTimeout(resolve, LOADER))
              return key
            }
            for (let index = 0; index < count; index++) {
              key++
              const began = performance.now()
              const call = async (cache: (typeof caches)[number]) => {
                await cache.getOrSet(`cold${key}`, load)
                return performance.now() - began
              }
              const calls = caches.flatMap((cache) => Array.from({ length: CALLERS }, () => call(cache)))
              waits = (await Promise.all(calls)).sort((a, b) => a - b)
            }
            return { loads: loads / count, p99: waits[Math.floor(waits.length * 0.99)] ?? 0 }
          },
          async close() {
            await Promise.all(caches.map((cache) => cache.close()))
            for (const client of clients) client.disconnect()
          },
        }
      },
    },
  ],
  claims: [
    { figure: 'loads of a cold key', must: { most: 1.01, unit: 'loads' }, by: 'loads' },
    {
      figure: 'p99 wait for a cold key',
      must: { most: LOADER + 50, unit: 'ms' },
      by: 'p99',
    },
  ],
})
