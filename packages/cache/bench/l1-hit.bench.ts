import { createCache } from '@cays/cache'
import { defineCase } from '../../../bench/define-case.ts'
import { bareLru, keys, load, reading } from './in-memory.ts'
import { peers } from './peers.ts'

/** What all contenders do: a read with a loader of a key that is in memory; of the bare LRU, an awaited `get`. */
export const benchmark = defineCase({
  operation: 'an awaited read of one of 1,000 keys in memory',
  contenders: [
    {
      name: '@cays/cache',
      async prepare() {
        const cache = createCache({ name: 'bench', ttl: '1h' })
        for (const key of keys) await cache.getOrSet(key, () => load(key))
        return {
          run: reading((key) => cache.getOrSet(key, () => load(key))),
          close: () => cache.close(),
        }
      },
    },
    bareLru(reading),
    ...peers(reading),
  ],
  claims: [
    { figure: 'awaited hit in memory beside the bare LRU', must: { ratio: 1.3 }, against: 'lru-cache' },
    { figure: 'awaited hit in memory', must: { advantage: 8 }, against: 'bentocache' },
    { figure: 'awaited hit in memory', must: { advantage: 8 }, against: 'cacheable' },
  ],
})
