import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createRealtime } from '../../src/index.ts'
import type { RealtimeOptions } from '../../src/options.ts'

export type NodeOptions = Partial<RealtimeOptions<never, { readonly userId: string }>>

/** A realtime node with its HTTP server in this process; the token is the user's id. */
export async function startLocalNode(
  options: NodeOptions = {},
  pages: Readonly<Record<string, string>> = {},
) {
  const realtime = createRealtime({
    origins: 'any',
    authenticate: ({ token }) => (token ? { userId: token } : null),
    authorize: {
      'job:{id}': () => ({ publish: true, presence: true }),
      lobby: () => ({ publish: ['chat'] }),
    },
    ...(options as object),
  })
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    const page = request.method === 'GET' ? pages[request.url ?? ''] : undefined
    if (page !== undefined) {
      const type = request.url?.endsWith('.js') ? 'text/javascript' : 'text/html'
      response.writeHead(200, { 'content-type': type }).end(page)
      return
    }
    void realtime.eventStream(request, response)
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  realtime.attach(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    realtime,
    sockets,
    port,
    /** Plain HTTP requests so far. */
    requests: () => requests,
    url: `ws://127.0.0.1:${port}/rt`,
    async close() {
      await realtime.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
