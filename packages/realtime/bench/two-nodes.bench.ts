import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createRealtime } from '@cays/realtime'
import { Redis } from 'ioredis'
import { type Contender, defineCase, type Operation } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'
import { gather } from './audience.ts'
import { redisAdapter } from './redis-adapter.ts'

interface SocketIoModule {
  readonly Server: new (
    options: object,
  ) => {
    to(room: string): { emit(event: string, data: unknown): void }
    close(): Promise<void>
  }
}

// Messages on their way at once.
const WINDOW = 256
// The control runs beside us on the same Redis.
const PREFIX = `bench${process.pid}`
const data = { job: 7, title: 'Diver', island: 'Exuma', status: 'reviewed' }

/** A second node in a process of its own, with one client; `publish` says messages on the first. */
async function toSecondNode(
  dialect: 'cays' | 'socket.io',
  redisUrl: string,
  publish: () => void,
  end: () => Promise<unknown>,
): Promise<Operation> {
  const node = fork(join(import.meta.dirname, 'idle-main.ts'), [dialect, redisUrl, PREFIX], {
    execArgv: ['--import', 'tsx'],
  })
  const [{ url }] = (await once(node, 'message')) as [{ url: string }]
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
      node.disconnect()
      await end()
    },
  }
}

const ours: Contender = {
  name: '@cays/realtime',
  prepare({ redisUrl }) {
    const redis = new Redis(redisUrl, { lazyConnect: true })
    const authenticate = () => null
    const realtime = createRealtime({
      redis,
      prefix: PREFIX,
      origins: 'any',
      authenticate,
      authorize: { lobby: true },
    })
    const room = realtime.room('lobby')
    return toSecondNode(
      'cays',
      redisUrl,
      () => void room.publish('updated', data),
      () => realtime.close(),
    )
  },
}

const socketIo: Contender = {
  name: 'socket.io',
  async prepare({ redisUrl }) {
    const { Server } = await peer<SocketIoModule>('socket.io')
    const io = new Server({ adapter: await redisAdapter(redisUrl, PREFIX) })
    return toSecondNode(
      'socket.io',
      redisUrl,
      () => io.to('lobby').emit('updated', data),
      () => io.close(),
    )
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
