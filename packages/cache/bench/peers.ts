import { LRUCache } from 'lru-cache'
import type { Contender } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'
import { keys, load } from './in-memory.ts'

// What is used of each peer: its read through memory, with a loader, as its documentation shows it.
type Read = (key: string) => unknown

interface BentoCache {
  getOrSet(options: { key: string; factory: () => Promise<unknown> }): Promise<unknown>
  disconnectAll(): Promise<void>
}
interface BentoCacheModule {
  readonly BentoCache: new (options: { default: string; stores: Record<string, unknown> }) => BentoCache
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
interface CacheManagerModule {
  readonly createCache: (options: { ttl: number }) => {
    wrap(key: string, load: () => Promise<unknown>): Promise<unknown>
  }
}
interface DedupeModule {
  readonly createCache: (options: {
    ttl: number
    storage: { type: 'memory'; options: { size: number } }
  }) => { define(name: string, load: Read): void; readonly read: Read }
}
interface CachifiedModule {
  readonly cachified: (options: {
    key: string
    cache: unknown
    ttl: number
    getFreshValue: () => Promise<unknown>
  }) => Promise<unknown>
}
interface LayeredLoaderModule {
  readonly Loader: new (options: {
    inMemoryCache: { cacheType: 'lru-map'; ttlInMsecs: number; maxItems: number }
    dataSources: readonly { readonly name: string; get: Read }[]
  }) => { get: Read }
}
interface OcacheModule {
  readonly defineCachedFunction: (
    load: Read,
    options: { maxAge: number; name: string; getKey: (key: string) => string },
  ) => Read
}

const HOUR = 3_600_000
const ITEMS = 10_000

async function warmed(read: Read, close: () => Promise<void> = async () => {}) {
  for (const key of keys) await read(key)
  return { read, close }
}

/** Each with what it read already in memory. */
const PEERS: Readonly<Record<string, () => Promise<{ readonly read: Read; close(): Promise<void> }>>> = {
  async bentocache() {
    const { BentoCache, bentostore } = await peer<BentoCacheModule>('bentocache')
    const { memoryDriver } = await peer<BentoMemoryModule>('bentocache/drivers/memory')
    const driver = memoryDriver({ maxItems: ITEMS, serialize: false })
    const cache = new BentoCache({ default: 'memory', stores: { memory: bentostore().useL1Layer(driver) } })
    return await warmed(
      (key) => cache.getOrSet({ key, factory: () => load(key) }),
      () => cache.disconnectAll(),
    )
  },
  async cacheable() {
    const { Cacheable } = await peer<CacheableModule>('cacheable')
    const cache = new Cacheable({ ttl: '1h' })
    return await warmed(
      (key) => cache.getOrSet(key, () => load(key)),
      () => cache.disconnect(),
    )
  },
  async 'cache-manager'() {
    const { createCache } = await peer<CacheManagerModule>('cache-manager')
    const cache = createCache({ ttl: HOUR })
    return await warmed((key) => cache.wrap(key, () => load(key)))
  },
  async 'async-cache-dedupe'() {
    const { createCache } = await peer<DedupeModule>('async-cache-dedupe')
    const cache = createCache({ ttl: HOUR / 1_000, storage: { type: 'memory', options: { size: ITEMS } } })
    cache.define('read', load as Read)
    return await warmed((key) => cache.read(key))
  },
  async '@epic-web/cachified'() {
    const { cachified } = await peer<CachifiedModule>('@epic-web/cachified')
    const cache = new LRUCache<string, object>({ max: ITEMS })
    return await warmed((key) => cachified({ key, cache, ttl: HOUR, getFreshValue: () => load(key) }))
  },
  async 'layered-loader'() {
    const { Loader } = await peer<LayeredLoaderModule>('layered-loader')
    const loader = new Loader({
      inMemoryCache: { cacheType: 'lru-map', ttlInMsecs: HOUR, maxItems: ITEMS },
      dataSources: [{ name: 'source', get: load as Read }],
    })
    return await warmed((key) => loader.get(key))
  },
  async ocache() {
    const { defineCachedFunction } = await peer<OcacheModule>('ocache')
    const options = { maxAge: HOUR / 1_000, name: 'read', getKey: (key: string) => key }
    return await warmed(defineCachedFunction(load as Read, options))
  },
}

/** The caches that an app might use instead. */
export function peers(run: (read: Read) => (count: number) => Promise<void>): readonly Contender[] {
  return Object.entries(PEERS).map(([name, start]) => ({
    name,
    async prepare() {
      const { read, close } = await start()
      return { run: run(read), close }
    },
  }))
}
