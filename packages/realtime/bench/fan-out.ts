import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { gather } from './audience.ts'
import { serveCays, serveSocketIo } from './serve.ts'

const SOCKETS = 1_000
const data = { job: 7, title: 'Diver', island: 'Exuma', status: 'reviewed' }

function ours(perTick: number): Contender {
  return {
    name: '@cays/realtime',
    async prepare() {
      const { realtime, url, close } = await serveCays()
      const audience = await gather('cays', url, SOCKETS)
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
          await close()
        },
      }
    },
  }
}

function socketIo(perTick: number): Contender {
  return {
    name: 'socket.io',
    async prepare() {
      const { io, url, close } = await serveSocketIo()
      const audience = await gather('socket.io', url, SOCKETS)
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
          await close()
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
