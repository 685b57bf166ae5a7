import { createCache } from '@cays/cache'
import { defineCase } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'
import { bareLru, keys, load, reading } from './in-memory.ts'

interface GetOrSet {
  getOrSet(options: { key: string; factory: () => Promise<unknown> }): Promise<unknown>
}
interface BentoCacheModule {
  readonly BentoCache: new (options: {
    default: string
    stores: Record<string, unknown>
  }) => GetOrSet & { disconnectAll(): Promise<void> }
  readonly bentostore: () => { useL1Layer(driver: unknown): unknown }
}
interface BentoMemoryModule {
  readonly memoryDriver: (options: { maxItems: number; serialize: boolean }) => unknown
}
interface CacheableModule {
  readonly Cacheable: new (options: {
    ttl: string
  }) => {
    getOrSet(key: string, load: () => Promise<unknown>): Promise<unknown>
    disconnect(): Promise<void>
  }
}

/** What all contenders do: `getOrSet` of a key that is in memory; of the bare LRU, an awaited `get`. */
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
    {
      name: 'bentocache',
      async prepare() {
        const { BentoCache, bentostore } = await peer<BentoCacheModule>('bentocache')
        const { memoryDriver } = await peer<BentoMemoryModule>('bentocache/drivers/memory')
        const driver = memoryDriver({ maxItems: 10_000, serialize: false })
        const cache = new BentoCache({
          default: 'memory',
          stores: { memory: bentostore().useL1Layer(driver) },
        })
        const read = (key: string) => cache.getOrSet({ key, factory: () => load(key) })
        for (const key of keys) await read(key)
        return { run: reading(read), close: () => cache.disconnectAll() }
      },
    },
    {
      name: 'cacheable',
      async prepare() {
        const { Cacheable } = await peer<CacheableModule>('cacheable')
        const cache = new Cacheable({ ttl: '1h' })
        const read = (key: string) => cache.getOrSet(key, () => load(key))
        for (const key of keys) await read(key)
        return { run: reading(read), close: () => cache.disconnect() }
      },
    },
  ],
  claims: [
    { figure: 'awaited hit in memory beside the bare LRU', must: { ratio: 1.3 }, against: 'lru-cache' },
    { figure: 'awaited hit in memory', must: { advantage: 8 }, against: 'bentocache' },
    { figure: 'awaited hit in memory', must: { advantage: 8 }, against: 'cacheable' },
  ],
})
