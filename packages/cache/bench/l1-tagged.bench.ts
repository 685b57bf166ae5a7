import { createCache } from '@cays/cache'
import { defineCase } from '../../../bench/define-case.ts'
import { bareLru, keys, load, reading } from './in-memory.ts'

export const benchmark = defineCase({
  operation: 'an awaited read of one of 1,000 keys with two tags each in memory',
  contenders: [
    {
      name: '@cays/cache',
      async prepare() {
        const cache = createCache({ name: 'bench', ttl: '1h' })
        const read = (key: string) => cache.getOrSet(key, () => load(key), { tags: ['user', 'org:7'] })
        for (const key of keys) await read(key)
        return { run: reading(read), close: () => cache.close() }
      },
    },
    bareLru(reading),
  ],
  claims: [
    {
      figure: 'awaited hit with two tags beside the bare LRU without',
      must: { ratio: 1.6 },
      against: 'lru-cache',
    },
  ],
})
