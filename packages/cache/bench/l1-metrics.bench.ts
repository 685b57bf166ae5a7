import { createCache } from '@cays/cache'
import { bridgePrometheus } from '@cays/core/prometheus'
import { defineCase } from '../../../bench/define-case.ts'
import { bareLru, keys, load, promClient, reading } from './in-memory.ts'

export const benchmark = defineCase({
  operation: 'an awaited read of one of 1,000 keys in memory, each counted for Prometheus',
  contenders: [
    {
      name: '@cays/cache',
      async prepare() {
        const metrics = bridgePrometheus({ client: promClient() })
        const cache = createCache({ name: 'bench', ttl: '1h' })
        for (const key of keys) await cache.getOrSet(key, () => load(key))
        return {
          run: reading((key) => cache.getOrSet(key, () => load(key))),
          async close() {
            metrics[Symbol.dispose]()
            await cache.close()
          },
        }
      },
    },
    bareLru(reading),
  ],
  claims: [
    {
      figure: 'awaited hit with metrics on beside the bare LRU without',
      must: { ratio: 2 },
      against: 'lru-cache',
    },
  ],
})
