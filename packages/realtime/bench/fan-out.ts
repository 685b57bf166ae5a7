import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRealtime } from '@cays/realtime'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'
import { gather } from './audience.ts'

interface SocketIoModule {
  readonly Server: new (
    http: Server,
    options: { transports: readonly string[]; serveClient: boolean },
  ) => {
    on(event: 'connection', listener: (socket: { join(room: string): void }) => void): void
    to(room: string): { emit(event: string, data: unknown): void }
    close(): Promise<void>
  }
}

const SOCKETS = 1_000
const data = { job: 7, title: 'Diver', island: 'Exuma', status: 'reviewed' }

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function ours(perTick: number): Contender {
  return {
    name: '@cays/realtime',
    async prepare() {
      const server = createServer()
      const realtime = createRealtime({
        origins: 'any',
        authenticate: ({ token }) => (token ? { userId: token } : null),
        authorize: { lobby: () => true },
        limits: { connectionsPerUser: SOCKETS, connectionsPerAddress: SOCKETS },
      })
      realtime.attach(server, { path: '/rt' })
      const audience = await gather('cays', `${await listen(server)}/rt`, SOCKETS)
      const room = realtime.room('lobby')
      return {
        async run(count) {
          for (let tick = 0; tick < count; tick += 1) {
            const all = audience.received(perTick)
            await Promise.all(Array.from({ length: perTick }, () => room.publish('updated', data)))
            await all
          }
        },
        async close() {
          await audience.leave()
          await realtime.close()
          server.closeAllConnections()
          server.close()
        },
      }
    },
  }
}

function socketIo(perTick: number): Contender {
  return {
    name: 'socket.io',
    async prepare() {
      const { Server } = await peer<SocketIoModule>('socket.io')
      const server = createServer()
      const io = new Server(server, { transports: ['websocket'], serveClient: false })
      io.on('connection', (socket) => socket.join('lobby'))
      const path = '/socket.io/?EIO=4&transport=websocket'
      const audience = await gather('socket.io', (await listen(server)) + path, SOCKETS)
      return {
        async run(count) {
          for (let tick = 0; tick < count; tick += 1) {
            const all = audience.received(perTick)
            for (let message = 0; message < perTick; message += 1) io.to('lobby').emit('updated', data)
            await all
          }
        },
        async close() {
          await audience.leave()
          await io.close()
        },
      }
    },
  }
}

/**
 * Messages published in one turn of the event loop to a room of 1,000 sockets on one node without Redis. Ours
 * numbers and keeps them for clients that come back; socket.io does neither.
 */
export function fanOut(perTick: number, ratio: number) {
  return defineCase({
    operation: `${perTick} ${perTick === 1 ? 'message' : 'messages in one turn'} delivered to 1,000 sockets`,
    contenders: [ours(perTick), socketIo(perTick)],
    claims: [
      {
        figure: `server CPU per delivery, ${perTick} at once`,
        must: { ratio },
        against: 'socket.io',
      },
    ],
    rounds: 11,
    roundTime: 400,
  })
}
