import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { RealtimeError } from './errors.ts'
import { SUBPROTOCOL } from './protocol.ts'

export interface UpgradeOptions {
  readonly path: string
  readonly origins: readonly string[] | 'any'
  readonly payload: number
  /** Whether sockets may agree on compression. */
  readonly compressed: boolean
  readonly opened: (socket: WebSocket, stream: Duplex, request: IncomingMessage) => void
}

// Kept at the server itself, so that all nodes of a process see it, also those of another copy of this package.
const TAKEN: unique symbol = Symbol.for('cays.realtime.taken') as never

interface Attachable {
  [TAKEN]?: Map<string, unknown>
}

/**
 * Takes the WebSocket upgrades of one path of an HTTP server; upgrades of other paths are left to others.
 * A page of a foreign origin gets 403 before any socket exists.
 *
 * Throws when a node takes this path already: two would end the process at the first connection.
 */
export function attachUpgrade(server: HttpServer | HttpsServer, options: UpgradeOptions): Disposable {
  const { path, origins, payload, compressed, opened } = options
  const attachable = server as object as Attachable
  attachable[TAKEN] ??= new Map()
  const taken = attachable[TAKEN]
  if (taken.has(path)) {
    throw new RealtimeError(
      'REALTIME_ERR_INVALID_OPTION',
      'attach: a realtime node takes this path of this server already; choose another path, or close the first',
    )
  }
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Nobody needs what came before: one compressed frame serves all, and no socket keeps a window.
    perMessageDeflate: compressed && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    maxPayload: payload,
    maxFragments: 128,
    maxBufferedChunks: 512,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  } as ConstructorParameters<typeof WebSocketServer>[0])
  const upgrade = (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    if (pathOf(request) !== path) return
    const refusal = refusalOf(request, origins)
    if (refusal !== undefined) {
      refuse(stream, refusal)
      return
    }
    // A smaller window than ours would need frames of its own: such a client gets them uncompressed.
    if (/server_max_window_bits/.test(request.headers[EXTENSIONS] ?? '')) delete request.headers[EXTENSIONS]
    sockets.handleUpgrade(request, stream, head, (socket) => {
      if (socket.extensions !== '') socket.on('message', () => releaseInflater(socket))
      opened(socket, stream, request)
    })
  }
  server.on('upgrade', upgrade)
  taken.set(path, upgrade)
  return {
    [Symbol.dispose]() {
      if (taken.get(path) === upgrade) taken.delete(path)
      server.off('upgrade', upgrade)
    },
  }
}

const EXTENSIONS = 'sec-websocket-extensions'

// `ws` would keep some 60 kB per socket for its next message, which needs nothing of it.
function releaseInflater(socket: WebSocket): void {
  const { _extensions: agreed } = socket as { readonly _extensions?: Record<string, { cleanup?(): void }> }
  agreed?.['permessage-deflate']?.cleanup?.()
}

/** True for a request from a page of an origin that is not on the list. */
export function isForeign({ headers }: IncomingMessage, origins: readonly string[] | 'any'): boolean {
  return origins !== 'any' && headers.origin !== undefined && !origins.includes(headers.origin)
}

function refusalOf(request: IncomingMessage, origins: readonly string[] | 'any'): string | undefined {
  if (isForeign(request, origins)) return '403 Forbidden'
  const offered = request.headers['sec-websocket-protocol'] ?? ''
  const supported = offered.split(',').some((protocol) => protocol.trim() === SUBPROTOCOL)
  return supported ? undefined : '400 Bad Request'
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? ''
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function refuse(stream: Duplex, status: string): void {
  stream.on('error', () => {})
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
