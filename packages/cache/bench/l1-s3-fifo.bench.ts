import { createCache } from '@cays/cache'
import { defineCase } from '../../../bench/define-case.ts'
import { bareLru, keys, load, reading } from './in-memory.ts'

export const benchmark = defineCase({
  operation: 'an awaited read of one of 1,000 keys in memory that evicts by S3-FIFO',
  contenders: [
    {
      name: '@cays/cache',
      async prepare() {
        const cache = createCache({ name: 'bench', ttl: '1h', l1: { eviction: 's3-fifo' } })
        for (const key of keys) await cache.getOrSet(key, () => load(key))
        return {
          run: reading((key) => cache.getOrSet(key, () => load(key))),
          close: () => cache.close(),
        }
      },
    },
    bareLru(reading),
  ],
  claims: [
    {
      figure: 'awaited hit in memory that evicts by S3-FIFO beside the bare LRU',
      must: { ratio: 1.3 },
      against: 'lru-cache',
    },
  ],
})
