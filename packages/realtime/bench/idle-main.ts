/** One server process: holds the sockets, and tells its memory when asked. With a Redis it is one node of several. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRealtime } from '@cays/realtime'
import { Redis } from 'ioredis'
import { peer } from '../../../bench/peer.ts'
import { redisAdapter } from './redis-adapter.ts'

interface SocketIoModule {
  readonly Server: new (
    http: Server,
    options: object,
  ) => { on(event: 'connection', listener: (socket: { join(room: string): void }) => void): void }
}

const [contender = '', redisUrl = '', prefix = 'rt'] = process.argv.slice(2)
const server = createServer()
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const many = { connectionsPerUser: 1e6, connectionsPerAddress: 1e6, handshakes: 1e6 }
let path = '/rt'
if (contender === 'cays') {
  const realtime = createRealtime({
    origins: 'any',
    authenticate: ({ token }) => (token ? { userId: token } : null),
    authorize: { lobby: true },
    limits: many,
    ...(redisUrl && { redis: new Redis(redisUrl, { lazyConnect: true }), prefix }),
  })
  realtime.attach(server)
} else {
  const { Server } = await peer<SocketIoModule>('socket.io')
  const io = new Server(server, {
    transports: ['websocket'],
    serveClient: false,
    ...(redisUrl && { adapter: await redisAdapter(redisUrl, prefix) }),
  })
  io.on('connection', (socket) => socket.join('lobby'))
  path = '/socket.io/?EIO=4&transport=websocket'
}

// How late a timer of 10 ms comes.
let lags: number[] = []
let due = performance.now() + 10
setInterval(() => {
  const now = performance.now()
  lags.push(Math.max(0, now - due))
  due = now + 10
}, 10)

process.on('message', async () => {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const { rss, heapUsed } = process.memoryUsage()
  lags.sort((a, b) => a - b)
  process.send?.({ rss, heapUsed, lag: lags[Math.floor(lags.length * 0.99)] ?? 0 })
  lags = []
})
process.on('disconnect', () => process.exit(0))
process.send?.({ url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}${path}` })
