import { createCache } from '@cays/cache'
import { defineCase } from '../../../bench/define-case.ts'
import { bareLru, keys, load, peeking } from './in-memory.ts'

export const benchmark = defineCase({
  operation: 'a synchronous read of one of 1,000 keys in memory',
  contenders: [
    {
      name: '@cays/cache',
      async prepare() {
        const cache = createCache({ name: 'bench', ttl: '1h' })
        for (const key of keys) await cache.getOrSet(key, () => load(key))
        return { run: peeking((key) => cache.peek(key)), close: () => cache.close() }
      },
    },
    bareLru(peeking),
  ],
  claims: [{ figure: 'peek beside get of the bare LRU', must: { ratio: 1.5 }, against: 'lru-cache' }],
})
