/**
 * What an idle connection in one room costs its server, beside socket.io, and how many one process holds.
 * The first round of each server warms it up. Run it with a number of connections.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { gather } from './audience.ts'

interface Memory {
  readonly rss: number
  readonly heapUsed: number
  /** p99 of the event loop's lag since the last question, in milliseconds. */
  readonly lag: number
}

const SOCKETS = Number(process.argv[2] ?? 5_000)
const KB = 1_000

async function measure(contender: 'cays' | 'socket.io') {
  const child = fork(join(import.meta.dirname, 'idle-main.ts'), [contender], {
    execArgv: ['--expose-gc', '--import', 'tsx'],
  })
  const ask = async () => {
    child.send('memory')
    const [memory] = (await once(child, 'message')) as [Memory]
    return memory
  }
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  await (await gather(contender, url, 500)).leave()
  const before = await ask()
  const audience = await gather(contender, url, SOCKETS)
  await ask()
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const after = await ask()
  const each = (name: 'rss' | 'heapUsed') => (after[name] - before[name]) / SOCKETS / KB
  const result = { rss: each('rss'), heap: each('heapUsed'), lag: after.lag }
  await audience.leave()
  child.disconnect()
  return result
}

console.log(`${SOCKETS} idle connections in one room`)
for (const contender of ['cays', 'socket.io'] as const) {
  const { rss, heap, lag } = await measure(contender)
  console.log(
    `${contender}: ${rss.toFixed(1)} kB RSS, ${heap.toFixed(1)} kB heap each, loop lag p99 ${lag.toFixed(1)} ms`,
  )
}
