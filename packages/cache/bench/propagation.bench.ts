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
        reader.on('invalidated', ({ local }) => {
          if (!local) heard()
        })
        await reader.get('k')
        while (!reader.health().redis?.subscribed) await new Promise((resolve) => setTimeout(resolve, 5))
        return {
          async run(count) {
            for (let index = 0; index < count; index++) {
              const arrived = new Promise<void>((resolve) => {
                heard = resolve
              })
              await Promise.all([writer.invalidate('k'), arrived])
            }
          },
          async close() {
            await Promise.all(caches.map((cache) => cache.close()))
            for (const client of clients) client.disconnect()
          },
        }
      },
    },
  ],
  claims: [{ figure: 'mean propagation of an invalidation', must: { cost: 1_000 }, by: 'time' }],
})
