import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { fixedWindow, gcra, type RateLimiter } from '@cays/ratelimit'
import { expressRateLimit } from '@cays/ratelimit/express'
import express from 'express'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { limiterOnRedis } from './limiter-on-redis.ts'

const CONNECTIONS = 32
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const END = 'HTTP/1.1 '

/** A client that costs little beside the server in the same process: it counts beginnings of answers. */
class Client {
  readonly #sockets: Socket[]
  #due = 0
  #open = 0
  #done: () => void = () => {}

  constructor(port: number) {
    this.#sockets = Array.from({ length: CONNECTIONS }, () => {
      const socket = connect(port, '127.0.0.1').setNoDelay().setEncoding('latin1')
      socket.on('data', (text: Buffer | string) => {
        if (!String(text).startsWith(END)) throw new Error('an answer came in parts')
        this.#open--
        if (this.#due > 0) this.#ask(socket)
        else if (this.#open === 0) this.#done()
      })
      return socket
    })
  }

  run(count: number): Promise<void> {
    this.#due = count
    return new Promise((resolve) => {
      this.#done = resolve
      for (const socket of this.#sockets) if (this.#due > 0) this.#ask(socket)
    })
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #ask(socket: Socket): void {
    this.#due--
    this.#open++
    socket.write(REQUEST)
  }
}

async function served(limiter: RateLimiter | undefined, close: () => Promise<void>) {
  const app = express()
  if (limiter) app.use(expressRateLimit(limiter, { key: () => 'everybody' }))
  app.get('/', (_request, response) => void response.json({ hello: 'world' }))
  const server: Server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = new Client((server.address() as AddressInfo).port)
  return {
    run: (count: number) => client.run(count),
    async close() {
      client.close()
      await new Promise((resolve) => server.close(resolve))
      await close()
    },
  }
}

/** How a request is decided. */
export type Decided = 'by leases' | 'by remembered denials' | 'by Redis'

function limited(decided: Decided): Contender {
  return {
    name: '@cays/ratelimit',
    async prepare({ redisUrl }) {
      const policy =
        decided === 'by remembered denials'
          ? fixedWindow({ limit: 1, per: '1d' })
          : gcra({ limit: 1_000_000, per: '1s' })
      const { limiter, close } = limiterOnRedis(
        redisUrl,
        { api: policy },
        {
          heartbeat: '1s',
          denyCache: { maxAge: '1h' },
          lease: decided === 'by leases' ? { maxShare: 1 } : false,
        },
      )
      const expected = { 'by leases': 'lease', 'by remembered denials': 'cache', 'by Redis': 'redis' }[
        decided
      ]
      for (let source = ''; source !== expected; ) {
        source = (await limiter.check('everybody')).source
        await new Promise((resolve) => setTimeout(resolve, source === 'redis' ? 5 : 0))
      }
      return await served(limiter, close)
    },
  }
}

/** Requests of Express with the middleware beside the same app without it; the client's work is in both. */
export function expressRequests(decided: Decided, least: number) {
  return defineCase({
    operation: `a request of an Express app, decided ${decided}`,
    needs: { redis: true },
    contenders: [limited(decided), { name: 'express', prepare: () => served(undefined, async () => {}) }],
    claims: [
      {
        figure: `CPU of a request with the middleware, decided ${decided}`,
        must: { ratio: Number((1 / least).toPrecision(3)) },
        against: 'express',
      },
    ],
    rounds: 31,
  })
}
