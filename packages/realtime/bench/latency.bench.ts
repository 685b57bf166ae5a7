import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { gather } from './audience.ts'
import { startChild } from './child.ts'
import { type Backplane, type ServerName, serveBare, serveCays, serveSocketIo } from './serve.ts'

const SOCKETS = 1_000
const PER_SECOND = 200
// The control runs beside us on the same Redis.
const PREFIX = `latency${process.pid}`

/** A first node here, a second one with the sockets in a process of its own. */
async function between(
  server: ServerName,
  { redisUrl, prefix }: Backplane,
  publish: (data: object) => unknown,
  close: () => Promise<unknown>,
) {
  const node = startChild('server-main.ts', [server, redisUrl, prefix])
  const { url } = await node.told<{ url: string }>()
  const audience = await gather(server === 'ws' ? 'cays' : server, url, SOCKETS)
  return {
    // One run is a second of messages, evenly spaced, and the time until the last is received.
    async run() {
      const all = audience.received(PER_SECOND)
      const started = performance.now()
      for (let sent = 0; sent < PER_SECOND; ) {
        const due = Math.min(PER_SECOND, ((performance.now() - started) * PER_SECOND) / 1_000)
        for (; sent < due; sent++) publish({ job: 7, title: 'Diver', sent: Date.now() })
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      const delays = await all
      return { p50: delays.p50, p95: delays.p95 }
    },
    async close() {
      await audience.leave()
      await node.end()
      await close()
    },
  }
}

const ours: Contender = {
  name: '@cays/realtime',
  async prepare({ redisUrl }) {
    const backplane = { redisUrl, prefix: PREFIX }
    const { realtime, close } = await serveCays(backplane)
    const room = realtime.room('lobby')
    return between('cays', backplane, (data) => void room.publish('updated', data), close)
  },
}

const socketIo: Contender = {
  name: 'socket.io',
  async prepare({ redisUrl }) {
    const backplane = { redisUrl, prefix: PREFIX }
    const { io, close } = await serveSocketIo(backplane)
    return between('socket.io', backplane, (data) => io.to('lobby').emit('updated', data), close)
  },
}

const bare: Contender = {
  name: 'ws',
  async prepare({ redisUrl }) {
    // A process of its own, so a channel of its own.
    const backplane = { redisUrl, prefix: `${PREFIX}.bare` }
    const { publish, close } = await serveBare(backplane)
    return between('ws', backplane, publish, close)
  },
}

/**
 * From the publish on one node to the receipt by each of 1,000 sockets of another, through Redis: 200,000
 * deliveries a second, which is more than socket.io can do; its delays grow for as long as the messages come. Bare `ws`
 * with PUBLISH, which frames what comes in a turn once as we do, shows how much of the time belongs to the sockets.
 */
export const benchmark = defineCase({
  operation: `a second of ${PER_SECOND} messages from one node to ${SOCKETS.toLocaleString('en')} sockets of another`,
  needs: { redis: true },
  contenders: [ours, socketIo, bare],
  claims: [
    { figure: 'publish to receipt on the other node, p95', must: { most: 50, unit: 'ms' }, by: 'p95' },
    {
      figure: 'publish to receipt on the other node, p50',
      must: { ratio: 0.5 },
      against: 'socket.io',
      by: 'p50',
    },
    {
      figure: 'publish to receipt on the other node, p95, beside bare ws and PUBLISH',
      must: { ratio: 1.5 },
      against: 'ws',
      by: 'p95',
    },
  ],
  roundTime: 1_000,
})
