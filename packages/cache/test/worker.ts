import { Redis } from 'ioredis'
import { createCache } from '../src/index.ts'

/** A process of its own with one cache, driven over IPC. What its loads return comes from the parent's Redis. */
export type Order =
  | { readonly do: 'stampede'; readonly key: string; readonly callers: number; readonly loader: number }
  | { readonly do: 'fail'; readonly key: string; readonly callers: number }

export interface Report {
  readonly values: readonly string[]
  readonly errors: readonly string[]
  readonly loads: number
  readonly slowest: number
}

const [url = '', name = ''] = process.argv.slice(2)
const redis = new Redis(url)
// A busy machine keeps eight processes waiting: neither a deadline nor a back-off may end meanwhile.
const cache = createCache({
  name,
  redis,
  ttl: '10m',
  l2: { timeout: '20s', lease: '4s' },
  errorBackoff: '10m',
})
let loads = 0

async function call(order: Order): Promise<Report> {
  loads = 0
  const began = performance.now()
  const load = async () => {
    loads++
    // Counted where it survives the death of this process.
    await redis.set(`by:${order.key}`, process.pid)
    const value = await redis.incr(`loads:${order.key}`)
    if (order.do === 'fail') throw new Error('source is down')
    await new Promise((resolve) => setTimeout(resolve, order.loader))
    return `${process.pid}:${value}`
  }
  const settled = await Promise.allSettled(
    Array.from({ length: order.callers }, () => cache.getOrSet(order.key, load)),
  )
  return {
    values: settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    errors: settled.flatMap((one) =>
      one.status === 'rejected' ? [String((one.reason as { code?: string }).code ?? one.reason)] : [],
    ),
    loads,
    slowest: performance.now() - began,
  }
}

process.on('message', (order: Order) => {
  call(order).then((report) => process.send?.(report))
})
await redis.ping()
await cache.get('warm')
process.send?.('ready')
