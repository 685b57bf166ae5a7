import { type Contender, defineCase, type Operation } from '../../../bench/define-case.ts'
import { gather } from './audience.ts'
import { startChild } from './child.ts'
import { type Dialect, serveCays, serveSocketIo } from './serve.ts'

// Messages on their way at once.
const WINDOW = 256
// The control runs beside us on the same Redis.
const PREFIX = `bench${process.pid}`
const data = { job: 7, title: 'Diver', island: 'Exuma', status: 'reviewed' }

/** A second node in a process of its own, with one client; `publish` says messages on the first. */
async function toSecondNode(
  dialect: Dialect,
  redisUrl: string,
  publish: () => void,
  end: () => Promise<unknown>,
): Promise<Operation> {
  const node = startChild('server-main.ts', [dialect, redisUrl, PREFIX])
  const { url } = await node.told<{ url: string }>()
  const audience = await gather(dialect, url, 1)
  return {
    async run(count) {
      for (let left = count; left > 0; left -= WINDOW) {
        const messages = Math.min(left, WINDOW)
        const all = audience.received(messages)
        for (let message = 0; message < messages; message++) publish()
        await all
      }
    },
    async close() {
      await audience.leave()
      await node.end()
      await end()
    },
  }
}

const ours: Contender = {
  name: '@cays/realtime',
  async prepare({ redisUrl }) {
    const { realtime, close } = await serveCays({ redisUrl, prefix: PREFIX })
    const room = realtime.room('lobby')
    return toSecondNode('cays', redisUrl, () => void room.publish('updated', data), close)
  },
}

const socketIo: Contender = {
  name: 'socket.io',
  async prepare({ redisUrl }) {
    const { io, close } = await serveSocketIo({ redisUrl, prefix: PREFIX })
    return toSecondNode('socket.io', redisUrl, () => io.to('lobby').emit('updated', data), close)
  },
}

/**
 * Messages published on one node and received by a client of another, through Redis, 256 on their way. Ours are
 * numbered and kept; those of socket.io's Redis adapter are neither.
 */
export const benchmark = defineCase({
  operation: 'a message from one node to a client of another, through Redis',
  needs: { redis: true },
  contenders: [ours, socketIo],
  claims: [
    {
      figure: 'two nodes through Redis, end to end, with history',
      must: { advantage: 3 },
      against: 'socket.io',
      by: 'time',
    },
  ],
})
