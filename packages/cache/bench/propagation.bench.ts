import { createCache } from '@cays/cache'
import { Redis } from 'ioredis'
import { defineCase } from '../../../bench/define-case.ts'

export const benchmark = defineCase({
  operation: 'an invalidation, from the call to another node having dropped the value',
  needs: { redis: true },
  contenders: [
    {
      name: '@cays/cache',
      async prepare({ redisUrl }) {
        const clients = [new Redis(redisUrl), new Redis(redisUrl)]
        const caches = clients.map((redis) =>
          createCache({ name: `bench${process.pid}`, redis, ttl: '1h', l2: { timeout: '10s' } }),
        )
        const [writer, reader] = caches
        if (!writer || !reader) throw new Error('two caches')
        let heard = (): void => {}
        // The last ones: a batch alone may be too few for a p99.
        const took = new Float64Array(1_000)
        let next = 0
        reader.on('invalidated', ({ local }) => {
          if (!local) heard()
        })
        await reader.get('k')
        while (!reader.health().redis?.subscribed) await new Promise((resolve) => setTimeout(resolve, 5))
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const began = performance.now()
              const arrived = new Promise<void>((resolve) => {
                heard = resolve
              })
              await Promise.all([writer.invalidate('k'), arrived])
              took[next++ % took.length] = performance.now() - began
            }
            const measured = took.slice(0, next).sort()
            return { p99: measured[Math.floor(measured.length * 0.99)] ?? 0 }
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
    { figure: 'mean propagation of an invalidation', must: { cost: 1_000 }, by: 'time' },
    { figure: 'p99 propagation of an invalidation', must: { most: 5, unit: 'ms' }, by: 'p99' },
  ],
})
