import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { SUBPROTOCOL } from '../../src/protocol.ts'
import { startLocalNode } from '../support/local-node.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start() {
  const node = await startLocalNode({ compression: true, limits: { connectionsPerUser: 1_000 } })
  closers.push(() => node.close())
  return node
}

/** A client in `job:1`; the answers are the data of its messages. */
async function join(url: string, perMessageDeflate: boolean | object) {
  const socket = new WebSocket(url, SUBPROTOCOL, { perMessageDeflate })
  closers.push(() => socket.terminate())
  const got: unknown[] = []
  let received = 0
  const joined = new Promise<void>((resolve) => {
    socket.on('message', (frame) => {
      for (const line of frame.toString().split('\n')) {
        const message = JSON.parse(line) as unknown[]
        if (message[0] === 'subscribed') resolve()
        else if (message[0] === 'm') got.push(message[4])
      }
    })
  })
  socket.once('upgrade', (response) => {
    const { socket: wire } = response
    Object.defineProperty(got, 'bytes', { get: () => wire.bytesRead - received })
  })
  await once(socket, 'open')
  socket.send(JSON.stringify(['hello', 1, 'ann', 'x'.repeat(2_000), [[2, 'job:1']]]))
  await joined
  const wire = got as unknown[] & { readonly bytes: number }
  received = wire.bytes
  return { socket, got: wire }
}

describe('with compression', () => {
  it('every client reads what it agreed on, and those who did get much less', async () => {
    const node = await start()
    const deflating = await Promise.all([true, true, {}].map((options) => join(node.url, options)))
    const plain = await Promise.all([false, { serverMaxWindowBits: 10 }].map((o) => join(node.url, o)))
    for (const { socket } of deflating) expect(socket.extensions).toBe('permessage-deflate')
    for (const { socket } of plain) expect(socket.extensions).toBe('')
    const room = node.realtime.room('job:{id}', { id: 1 } as never)
    const sent: unknown[] = []
    for (let n = 1; n <= 40; n++) {
      const data = { n, text: 'Diver on Exuma, é ☃ '.repeat(n * 10) }
      sent.push(data)
      await room.publish('n' as never, data as never)
    }
    for (const { got } of [...deflating, ...plain]) await expect.poll(() => got).toEqual(sent)
    const [most = 0] = plain.map(({ got }) => got.bytes)
    for (const { got } of deflating) expect(got.bytes).toBeLessThan(most / 5)
  })

  it('a socket that sends compressed messages keeps no memory for the next one', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const node = await start()
    const buffers = () => {
      collect()
      return process.memoryUsage().arrayBuffers
    }
    await join(node.url, { threshold: 0 })
    const before = buffers()
    for (let n = 0; n < 60; n++) await join(node.url, { threshold: 0 })
    // An inflater of ws has a buffer of 16 kB; the clients of this process keep their deflaters.
    await expect.poll(() => (buffers() - before) / 60).toBeLessThan(40_000)
  })
})
