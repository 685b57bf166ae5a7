import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** An HTTP load balancer that gives each request to the next node: nothing is sticky. */
export async function startBalancer(ports: () => readonly number[]) {
  let next = 0
  const sockets = new Set<Socket>()
  const server = createServer((incoming, outgoing) => {
    const all = ports()
    const port = all[next++ % all.length]
    const { method, url: path, headers } = incoming
    const passed = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.flushHeaders()
      answer.pipe(outgoing)
      answer.on('error', () => outgoing.destroy())
      answer.on('close', () => answer.complete || outgoing.destroy())
    })
    passed.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(502).end()
    })
    outgoing.on('close', () => passed.destroy())
    incoming.on('error', () => passed.destroy())
    incoming.pipe(passed)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/rt`,
    /** Resets every connection of its clients. */
    reset() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
