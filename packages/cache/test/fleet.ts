import { type Cache, type CacheOptions, createCache } from '../src/index.ts'
import type { RedisClient } from '../src/redis-client.ts'

export const MAX_STALENESS = 300

/** Two caches of one name, as two processes would have them, on a source whose value the test changes. */
export interface Pair extends AsyncDisposable {
  readonly writer: Cache
  readonly reader: Cache
  readonly key: string
  value: string
  loads: number
  readonly load: () => Promise<string>
}

let serial = 0

export function startPair(
  writer: RedisClient,
  reader: RedisClient,
  options: Partial<CacheOptions> = {},
): Pair {
  serial++
  const common = {
    name: `pair${serial}`,
    ttl: '10m',
    sync: { maxStaleness: MAX_STALENESS },
    l2: { retryAfter: 200 },
    ...options,
  } as const
  const pair: Pair = {
    writer: createCache({ ...common, redis: writer }),
    reader: createCache({ ...common, redis: reader }),
    key: `key${serial}`,
    value: 'old',
    loads: 0,
    load: async () => {
      pair.loads++
      return pair.value
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([pair.writer.close(), pair.reader.close()])
    },
  }
  return pair
}

/** Both caches hold the old value in memory, and Redis holds it. */
export async function warm(pair: Pair): Promise<void> {
  await pair.writer.getOrSet(pair.key, pair.load)
  await pair.reader.getOrSet(pair.key, pair.load)
}

/** The source changes, and the invalidation of it has reached Redis. */
export async function change(pair: Pair, invalidate = () => pair.writer.invalidate(pair.key)): Promise<void> {
  pair.value = 'new'
  while ((await invalidate()) !== 'fleet') await pause(20)
}

/**
 * Reads at both for a while and fails on the first old value: at the writer from now on, at the reader from
 * `maxStaleness` on.
 */
export async function expectNoStaleReads(pair: Pair, lasting: number = 2 * MAX_STALENESS): Promise<void> {
  const began = performance.now()
  while (performance.now() - began < MAX_STALENESS + lasting) {
    const at = performance.now() - began
    const [own, other] = await Promise.all([
      pair.writer.getOrSet(pair.key, pair.load),
      pair.reader.getOrSet(pair.key, pair.load),
    ])
    if (own !== 'new') throw new Error(`the writer served the old value ${at.toFixed(0)} ms later`)
    if (other !== 'new' && at >= MAX_STALENESS) {
      throw new Error(`the reader served the old value ${at.toFixed(0)} ms later`)
    }
    await pause(2)
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  within = 5_000,
): Promise<void> {
  const end = performance.now() + within
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`)
    await pause(5)
  }
}
