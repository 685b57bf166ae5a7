import { createRequire } from 'node:module'
import { LRUCache } from 'lru-cache'
import type { Contender } from '../../../bench/define-case.ts'

/** What all cases read: keys of values that are in memory. */
export const keys: readonly string[] = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)

export const load = async (key: string): Promise<object> => ({ id: key, name: 'Ada', roles: ['editor'] })

/** Reads the keys in turn, each read awaited. */
export function reading(read: (key: string) => unknown): (count: number) => Promise<void> {
  return async (count) => {
    for (let index = 0; index < count; index += 1) await read(keys[index % keys.length] ?? '')
  }
}

/** Reads the keys in turn, with nothing to await. */
export function peeking(read: (key: string) => unknown): (count: number) => void {
  return (count) => {
    let found = 0
    for (let index = 0; index < count; index += 1) if (read(keys[index % keys.length] ?? '')) found += 1
    if (found !== count) throw new Error('not everything is in memory')
  }
}

/** What a cache can be at best: an LRU with expiry. */
export function bareLru(run: typeof reading | typeof peeking): Contender {
  return {
    name: 'lru-cache',
    async prepare() {
      const cache = new LRUCache<string, object>({ max: 10_000, ttl: 3_600_000 })
      for (const key of keys) cache.set(key, await load(key))
      return { run: run((key) => cache.get(key)) }
    },
  }
}

/** prom-client, which the kernel's own tests bring. */
export function promClient(): typeof import('prom-client') {
  return createRequire(new URL('../../core/package.json', import.meta.url))('prom-client')
}
