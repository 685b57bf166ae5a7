import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface GatewayTarget {
  readonly name: string
  readonly port: number
}

export interface Gateway {
  readonly url: string
  readonly port: number
  /** Replaces the nodes behind the gateway; a node that restarts comes back under another port. */
  setTargets(targets: readonly GatewayTarget[]): Promise<void>
  close(): Promise<void>
}

interface Backend extends GatewayTarget {
  ready: boolean
  inFlight: number
  sockets: number
}

const PROBE_EVERY = 100
const ATTEMPTS = 4
const WAIT_FOR_A_NODE = 5_000
/** Requests up to this size can be sent again to another node; larger ones are streamed once. */
const REPLAYABLE = 256 * 1024

/**
 * One URL in front of several nodes, as a platform's load balancer would be: asks every node whether it is
 * ready, sends each request to the ready one with the least to do, and sends it to another one when a
 * connection is refused before the node saw anything. What a node began to answer is never sent again.
 */
export async function startGateway(targets: readonly GatewayTarget[], port = 0): Promise<Gateway> {
  let backends: Backend[] = []
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 1_000, maxSockets: 256 })
  const sockets = new Set<Duplex>()

  const setTargets = (next: readonly GatewayTarget[]) => {
    backends = next.map(
      (target) =>
        backends.find((backend) => backend.name === target.name && backend.port === target.port) ?? {
          ...target,
          ready: false,
          inFlight: 0,
          sockets: 0,
        },
    )
  }
  setTargets(targets)

  const probe = () =>
    Promise.all(
      backends.map(async (backend) => {
        backend.ready = await isReady(backend.port)
      }),
    )
  await probe()
  const prober = setInterval(() => void probe(), PROBE_EVERY)

  const choose = async (
    load: 'inFlight' | 'sockets',
    tried: ReadonlySet<Backend>,
  ): Promise<Backend | undefined> => {
    const deadline = Date.now() + WAIT_FOR_A_NODE
    for (;;) {
      const ready = backends.filter((backend) => backend.ready)
      const fresh = ready.filter((backend) => !tried.has(backend))
      const best = (fresh.length > 0 ? fresh : ready).sort(
        (a, b) => a[load] - b[load] || Math.random() - 0.5,
      )[0]
      if (best || Date.now() > deadline) return best
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  const server: Server = createServer((req, res) => {
    void forward(req, res).catch(() => {
      if (!res.headersSent) res.writeHead(502, { 'content-type': 'text/plain' })
      res.end('The gateway lost the node.')
    })
  })

  async function forward(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await bufferedBody(req)
    const tried = new Set<Backend>()
    for (let attempt = 1; ; attempt++) {
      const backend = await choose('inFlight', tried)
      if (!backend) {
        res.writeHead(503, { 'retry-after': '1', 'content-type': 'text/plain' }).end('No node is ready.')
        return
      }
      tried.add(backend)
      const outcome = await attemptOn(backend, req, res, body, agent)
      if (outcome === 'done') return
      // The node is gone or going: believe the refusal before the next probe does.
      backend.ready = false
      if (outcome === 'lost' || attempt >= ATTEMPTS) {
        if (!res.headersSent) res.writeHead(502, { 'content-type': 'text/plain' })
        res.end('The gateway lost the node.')
        return
      }
    }
  }

  server.on('upgrade', (req, socket, head) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    void choose('sockets', new Set()).then((backend) => {
      if (!backend) return void socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n')
      // Sockets stay for hours: they spread by their own number, not by what is asked at the moment.
      backend.sockets++
      const upstream = connect(backend.port, '127.0.0.1', () => {
        upstream.write(`${req.method} ${req.url} HTTP/1.1\r\n${rawHeaders(req)}\r\n\r\n`)
        if (head.length > 0) upstream.write(head)
        socket.pipe(upstream).pipe(socket)
      })
      upstream.on('error', () => socket.destroy())
      upstream.on('close', () => {
        backend.sockets--
        socket.destroy()
      })
      socket.on('close', () => upstream.destroy())
    })
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the gateway has no port')
  return {
    url: `http://localhost:${address.port}`,
    port: address.port,
    async setTargets(next) {
      setTargets(next)
      await probe()
    },
    async close() {
      clearInterval(prober)
      for (const socket of sockets) socket.destroy()
      server.closeAllConnections()
      agent.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** `retry` only when nothing of the request can have been acted on, or when repeating it changes nothing. */
async function attemptOn(
  backend: Backend,
  req: IncomingMessage,
  res: ServerResponse,
  body: Buffer | undefined,
  agent: Agent,
): Promise<'done' | 'retry' | 'lost'> {
  const repeatable = req.method === 'GET' || req.method === 'HEAD'
  backend.inFlight++
  try {
    return await new Promise((resolve) => {
      const headers = {
        ...req.headers,
        'x-forwarded-for': req.socket.remoteAddress ?? '',
        'x-forwarded-proto': 'http',
      }
      const upstream = request(
        {
          host: '127.0.0.1',
          port: backend.port,
          method: req.method,
          path: req.url,
          headers,
          // A kept-alive connection may close as we write: harmless for what can be repeated, ambiguous for a
          // write. So writes get a connection of their own.
          ...(repeatable ? { agent } : { agent: false }),
        },
        (answer) => {
          res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
          answer.pipe(res)
          answer.on('error', () => res.destroy())
          answer.on('close', () => {
            if (!answer.complete) res.destroy()
            resolve('done')
          })
        },
      )
      upstream.on('error', (error: NodeJS.ErrnoException) => {
        if (res.headersSent) {
          res.destroy()
          return resolve('done')
        }
        const unseen = error.code === 'ECONNREFUSED'
        resolve(body !== undefined && (unseen || repeatable) ? 'retry' : 'lost')
      })
      res.on('close', () => upstream.destroy())
      if (body === undefined) req.pipe(upstream)
      else upstream.end(body)
    })
  } finally {
    backend.inFlight--
  }
}

/** The whole body of a small request, so that it can be sent again; `undefined` when it is large. */
async function bufferedBody(req: IncomingMessage): Promise<Buffer | undefined> {
  if (req.method === 'GET' || req.method === 'HEAD') return Buffer.alloc(0)
  const length = Number(req.headers['content-length'])
  if (!Number.isFinite(length) || length > REPLAYABLE) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function rawHeaders(req: IncomingMessage): string {
  const lines: string[] = []
  for (let at = 0; at < req.rawHeaders.length; at += 2)
    lines.push(`${req.rawHeaders[at]}: ${req.rawHeaders[at + 1]}`)
  lines.push(`X-Forwarded-For: ${(req.socket as Socket).remoteAddress ?? ''}`)
  return lines.join('\r\n')
}

async function isReady(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`, {
      signal: AbortSignal.timeout(1_000),
    })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}
