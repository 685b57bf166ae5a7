import { type Cache, type CacheOptions, createCache } from '../src/index.ts'
import type { RedisClient } from '../src/redis-client.ts'

export const MAX_STALENESS = 300
/** A read counts from the turn of the event loop it was made in, and on a busy machine a turn takes long. */
const TURN = 100

/** For what is tested without a fault: that a busy machine misses the deadline is not the point. */
export const patient = { timeout: '10s' } as const

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
    if (other !== 'new' && at >= MAX_STALENESS + TURN) {
      throw new Error(`the reader served the old value ${at.toFixed(0)} ms later`)
    }
    await pause(2)
  }
}

/** Waits until no read may be older than a write that reached Redis before. */
export function pastTheBound(bound: number = MAX_STALENESS): Promise<void> {
  return pause(bound + TURN)
}

/**
 * How long work took, less the time in which this process did not get to run: a busy machine makes everything
 * late, and says nothing about what was waited for.
 */
export async function timed<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly took: number }> {
  const began = performance.now()
  let beat = began
  let stood = 0
  const watch = () => {
    const now = performance.now()
    stood += Math.max(0, now - beat - 2 * BEAT)
    beat = now
  }
  const heart = setInterval(watch, BEAT)
  try {
    const value = await work()
    watch()
    return { value, took: performance.now() - began - stood }
  } finally {
    clearInterval(heart)
  }
}

const BEAT = 5

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  within = 20_000,
): Promise<void> {
  const end = performance.now() + within
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`)
    await pause(5)
  }
}
