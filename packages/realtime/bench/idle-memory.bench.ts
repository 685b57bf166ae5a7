import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { gather } from './audience.ts'
import { type Dialect, servers } from './serve.ts'

const SOCKETS = 10_000
const KB = 1_000

/** What the process holds once everything that can be collected is. */
async function settled() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const { rss, heapUsed } = process.memoryUsage()
  return { rss, heapUsed }
}

function holding(name: string, dialect: Dialect): Contender {
  return {
    name,
    async prepare() {
      const { url, close } = await servers[dialect]()
      // Before anybody came: what the first connection brings with it, compiled code above all, is counted as well.
      const before = await settled()
      const audience = await gather(dialect, url, SOCKETS)
      return {
        async run() {
          const after = await settled()
          return {
            rss: (after.rss - before.rss) / SOCKETS / KB,
            heap: (after.heapUsed - before.heapUsed) / SOCKETS / KB,
          }
        },
        async close() {
          await audience.leave()
          await close()
        },
      }
    },
  }
}

/** What an idle connection in one room costs its server, on one node without Redis. */
export const benchmark = defineCase({
  operation: `one look at the memory of a server with ${SOCKETS.toLocaleString('en')} idle connections in one room`,
  contenders: [holding('@cays/realtime', 'cays'), holding('socket.io', 'socket.io')],
  claims: [
    { figure: 'memory of an idle connection, RSS', must: { most: 10.5, unit: 'kB' }, by: 'rss' },
    { figure: 'memory of an idle connection, heap', must: { most: 5, unit: 'kB' }, by: 'heap' },
    {
      figure: 'memory of an idle connection, RSS beside socket.io',
      must: { ratio: 0.6 },
      against: 'socket.io',
      by: 'rss',
    },
    {
      figure: 'memory of an idle connection, heap beside socket.io',
      must: { ratio: 0.6 },
      against: 'socket.io',
      by: 'heap',
    },
  ],
  rounds: 5,
  warmUps: 1,
})
