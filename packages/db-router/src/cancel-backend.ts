import type { Client } from 'pg'

export interface Cancellation {
  /** True once the server has taken the request, so that it cannot hit a later statement; false if unsure. */
  readonly done: Promise<boolean>
}

const PATIENCE = 2_000

/**
 * Asks the server to stop what `client` is running, over a connection of its own as the protocol demands.
 * The client must not be used again before `done`, and not at all if it resolves to false.
 */
export function cancelBackend(client: Client): Cancellation {
  return { done: send(client) }
}

interface Internals {
  readonly processID: number | null
  readonly secretKey: number | Buffer | null
  readonly host: string
  readonly port: number
  readonly ssl: unknown
}

interface ConnectionInternals {
  readonly stream: { destroy(): void }
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processID: number, secretKey: number | Buffer): void
  on(event: string, listener: () => void): void
}

function send(client: Client): Promise<boolean> {
  const { processID, secretKey, host, port, ssl } = client as unknown as Internals
  const Connection = (client.connection as object).constructor as new (options: object) => ConnectionInternals
  if (processID === null || secretKey === null) return Promise.resolve(false)
  return new Promise((resolve) => {
    const connection = new Connection({ ssl })
    const timer = setTimeout(() => finish(false), PATIENCE)
    let sent = false
    const finish = (landed: boolean) => {
      clearTimeout(timer)
      connection.stream.destroy()
      resolve(landed)
    }
    const ask = () => {
      sent = true
      connection.cancel(processID, secretKey)
    }
    connection.on('error', () => finish(false))
    // The server closes the connection after it has signalled the backend.
    connection.on('end', () => finish(sent))
    connection.on('connect', () => (ssl ? connection.requestSsl() : ask()))
    connection.on('sslconnect', ask)
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
  })
}
