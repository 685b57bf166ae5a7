import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { createCache } from '../src/index.ts'

/** Measures what caches hold on the heap, in a process of its own that may collect its garbage (`--expose-gc`). */
export type HeapReport =
  | { readonly limit: number; readonly highest: number; readonly tracked: number; readonly grown: number }
  | { readonly heap: number }

const [mode = '', url = ''] = process.argv.slice(2)

async function heap(): Promise<number> {
  for (let i = 0; i < 6; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Values of 1 byte to 1 MB, as many of each size class: text, bytes, and records. */
function sample(index: number): unknown {
  const size = 2 ** (Math.random() * 20)
  switch (index % 3) {
    case 0:
      return randomBytes(size).toString('latin1')
    case 1:
      return new Uint8Array(randomBytes(size))
    default:
      return Array.from({ length: size / 100 }, (_, id) => ({
        id,
        name: `${id} of ${index}`,
        score: id / 3,
        at: null,
      }))
  }
}

async function fill(): Promise<HeapReport> {
  const limit = 64 * 2 ** 20
  await using cache = createCache({ name: 'heap', l1: { maxBytes: limit, maxItems: 100_000 } })
  for (let i = 0; i < 300; i++) await cache.set('warm', sample(i))
  await cache.invalidate('warm')
  const before = await heap()
  let highest = 0
  for (let i = 0; i < 4_000; i++) {
    await cache.set(`key${Math.floor(Math.random() * 3_000)}`, sample(i))
    highest = Math.max(highest, cache.health().memory.bytes)
  }
  const grown = (await heap()) - before
  return { limit, highest, tracked: cache.health().memory.bytes, grown }
}

async function live(): Promise<void> {
  const redis = new Redis(url)
  redis.on('error', () => {})
  const cache = createCache({
    name: 'outage',
    redis,
    ttl: '10m',
    sync: { maxStaleness: 200 },
    l2: { timeout: 100, retryAfter: 200, queue: 1_000 },
  })
  let next = 0
  const step = async () => {
    const key = `key${next++ % 500}`
    await cache.getOrSet(key, () => ({ key, text: 'x'.repeat(10_000) }), { tags: [`tag${next % 50}`] })
    // New names all the time: they must not pile up while nobody takes them.
    if (next % 5 === 0) await cache.invalidate(`other${next}`)
    if (next % 97 === 0) await cache.invalidateTags(`tag${next % 50}`)
  }
  let asked: ((heap: number) => void) | undefined
  process.on('message', () => {
    asked = (bytes) => process.send?.({ heap: bytes } satisfies HeapReport)
  })
  process.send?.('ready')
  for (;;) {
    for (let i = 0; i < 200; i++) await step()
    await new Promise((resolve) => setTimeout(resolve, 2))
    if (!asked || cache.health().status !== 'ok') continue
    for (let i = 0; i < 1_000; i++) await step()
    asked(await heap())
    asked = undefined
  }
}

if (mode === 'fill') process.send?.(await fill(), () => process.exit())
else await live()
