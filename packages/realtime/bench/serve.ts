import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type Contract,
  createRealtime,
  type Identity,
  type Realtime,
  type RealtimeOptions,
} from '@cays/realtime'
import { Redis } from 'ioredis'
import { WebSocketServer } from 'ws'
import { peer } from '../../../bench/peer.ts'
import { encodeFrames } from '../src/frame.ts'
import { redisAdapter } from './redis-adapter.ts'

interface SocketIoModule {
  readonly Server: new (
    http: Server,
    options: object,
  ) => {
    on(event: 'connection', listener: (socket: { join(room: string): void }) => void): void
    to(room: string): { emit(event: string, data: unknown): void }
    close(): Promise<void>
  }
}

/** Which Redis makes several servers one; all of one comparison share the prefix. */
export interface Backplane {
  readonly redisUrl: string
  readonly prefix: string
}

// What a client may use is measured elsewhere; here one process plays them all.
const UNLIMITED = { connectionsPerUser: 1e6, connectionsPerAddress: 1e6, connections: 1e6, handshakes: 1e6 }

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve))
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A server of ours whose clients may join `lobby` and `job:{id}`. */
export async function serveCays(
  backplane?: Backplane,
  options: Pick<RealtimeOptions<Contract, Identity>, 'heartbeat'> = {},
) {
  const server = createServer()
  const redis = backplane && new Redis(backplane.redisUrl, { lazyConnect: true })
  const realtime: Realtime<Contract, Identity> = createRealtime({
    origins: 'any',
    authenticate: ({ token }) => (token ? { userId: token } : null),
    authorize: { lobby: true, 'job:{id}': true },
    limits: UNLIMITED,
    ...options,
    ...(redis && { redis, prefix: backplane.prefix }),
  })
  realtime.attach(server)
  return {
    realtime,
    url: `${await listen(server)}/rt`,
    async close() {
      await realtime.close()
      redis?.disconnect()
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A server of socket.io, whose clients are in `lobby`. */
export async function serveSocketIo(backplane?: Backplane) {
  const { Server: SocketIo } = await peer<SocketIoModule>('socket.io')
  const server = createServer()
  const io = new SocketIo(server, {
    transports: ['websocket'],
    serveClient: false,
    ...(backplane && { adapter: await redisAdapter(backplane.redisUrl, backplane.prefix) }),
  })
  io.on('connection', (socket) => socket.join('lobby'))
  return {
    io,
    url: `${await listen(server)}/socket.io/?EIO=4&transport=websocket`,
    close: () => io.close(),
  }
}

/**
 * The least a node of several can do: what Redis tells it in one turn it frames once and writes once to each socket, as
 * many frames of the same shape as ours. It numbers by counting, keeps nothing, and loses what it does not hear.
 */
export async function serveBare(backplane: Backplane) {
  const server = createServer()
  const upgrades = new WebSocketServer({ noServer: true, clientTracking: false })
  const subscriber = new Redis(backplane.redisUrl)
  const publisher = new Redis(backplane.redisUrl)
  const streams: Duplex[] = []
  let pending: string[] = []
  let told = 0
  await subscriber.subscribe(backplane.prefix)
  subscriber.on('message', (_, text) => {
    if (pending.length === 0) setImmediate(flush)
    pending.push(`["m","lobby",${++told},"updated",${text}]`)
  })
  function flush(): void {
    const frame = encodeFrames(pending)
    pending = []
    for (const stream of streams) stream.write(frame)
  }
  server.on('upgrade', (request, stream, head) => {
    upgrades.handleUpgrade(request, stream, head, (socket) => {
      socket.once('message', () => {
        streams.push(stream)
        socket.send('["subscribed",2,"lobby","e",0,0]')
      })
    })
  })
  return {
    publish: (data: object) => publisher.publish(backplane.prefix, JSON.stringify(data)),
    url: await listen(server),
    async close() {
      publisher.disconnect()
      subscriber.disconnect()
      server.closeAllConnections()
      server.close()
    },
  }
}

export const servers = { cays: serveCays, 'socket.io': serveSocketIo, ws: serveBare } as const

export type ServerName = keyof typeof servers
/** What the sockets of a server speak. */
export type Dialect = Exclude<ServerName, 'ws'>
