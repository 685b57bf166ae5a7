import { connect, type Socket } from 'node:net'
import { TestkitError } from './errors.ts'

/** One row of a result: every value as the text the server sent, or `null`. */
export type PostgresRow = Readonly<Record<string, string | null>>

/** Where statements run. */
export interface PostgresSqlOptions {
  /** @default 'postgres' */
  readonly database?: string
  readonly signal?: AbortSignal | undefined
}

/** How the sessions of this package name themselves; the log reader leaves their lines out. */
export const CONTROL_APPLICATION = 'cays-testkit'

/**
 * A connection for the launcher's own few statements: simple query protocol, text values, no password.
 * It is not a driver; it exists so that what a test instruments, mocks or counts in its driver stays the test's.
 */
export class PostgresSession implements Disposable {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #names: readonly string[] = []
  #rows: PostgresRow[] = []
  #refusal: ServerRefusal | undefined
  #settle: { resolve(rows: readonly PostgresRow[]): void; reject(error: unknown): void } | undefined
  #failure: unknown

  private constructor(socket: Socket, signal: AbortSignal | undefined) {
    this.#socket = socket
    const abort = () => this.#fail(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    socket.on('data', (chunk) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(hungUp(error)))
    socket.on('close', () => {
      signal?.removeEventListener('abort', abort)
      this.#fail(hungUp(undefined))
    })
  }

  static async open(port: number, options: PostgresSqlOptions = {}): Promise<PostgresSession> {
    const { database = 'postgres', signal } = options
    signal?.throwIfAborted()
    const session = new PostgresSession(connect({ port, host: '127.0.0.1', noDelay: true }), signal)
    const parameters = [
      'user',
      'postgres',
      'database',
      database,
      'application_name',
      CONTROL_APPLICATION,
      '',
      '',
    ]
    const body = Buffer.from(parameters.join('\0'))
    const head = Buffer.alloc(8)
    head.writeInt32BE(body.length + 8, 0)
    head.writeInt32BE(196_608, 4)
    const ready = session.#answer()
    session.#socket.write(Buffer.concat([head, body]))
    await ready
    return session
  }

  /** Runs one or more statements and resolves with the rows of the last; rejects with `TESTKIT_ERR_REPLY`. */
  query(sql: string): Promise<readonly PostgresRow[]> {
    const body = Buffer.from(`${sql}\0`)
    const head = Buffer.from('Q\0\0\0\0')
    head.writeInt32BE(body.length + 4, 1)
    const answer = this.#answer()
    this.#socket.write(Buffer.concat([head, body]))
    return answer
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #answer(): Promise<readonly PostgresRow[]> {
    this.#rows = []
    this.#refusal = undefined
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      if (this.#failure !== undefined) this.#fail(this.#failure)
    })
  }

  #fail(error: unknown): void {
    this.#failure ??= this.#refusal ? refused(this.#refusal) : error
    this.#settle?.reject(this.#failure)
    this.#settle = undefined
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    while (this.#received.length >= 5) {
      const end = this.#received.readInt32BE(1) + 1
      if (this.#received.length < end) return
      this.#message(String.fromCharCode(this.#received[0] ?? 0), this.#received.subarray(5, end))
      this.#received = this.#received.subarray(end)
    }
  }

  #message(type: string, body: Buffer): void {
    if (type === 'T') {
      this.#names = columnNames(body)
      this.#rows = []
    } else if (type === 'D') this.#rows.push(row(this.#names, body))
    else if (type === 'E') this.#refusal = serverRefusal(body)
    else if (type === 'R' && body.readInt32BE(0) !== 0)
      this.#fail(hungUp(new Error('it asks for a password')))
    else if (type === 'Z') {
      const settle = this.#settle
      this.#settle = undefined
      if (this.#refusal) settle?.reject(refused(this.#refusal))
      else settle?.resolve(this.#rows)
    }
  }
}

interface ServerRefusal {
  readonly code: string
  readonly message: string
}

function refused({ code, message }: ServerRefusal): TestkitError {
  const cause = Object.assign(new Error(message), { code })
  return new TestkitError('TESTKIT_ERR_REPLY', `the server refused the statement with SQLSTATE ${code}`, {
    cause,
  })
}

function hungUp(cause: unknown): TestkitError {
  return new TestkitError('TESTKIT_ERR_REPLY', 'the server ended the connection', { cause })
}

function columnNames(body: Buffer): readonly string[] {
  const names: string[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const end = body.indexOf(0, at)
    names.push(body.toString('utf8', at, end))
    at = end + 19
  }
  return names
}

function row(names: readonly string[], body: Buffer): PostgresRow {
  const values: Record<string, string | null> = {}
  let at = 2
  for (const name of names) {
    const length = body.readInt32BE(at)
    at += 4
    values[name] = length < 0 ? null : body.toString('utf8', at, at + length)
    at += Math.max(0, length)
  }
  return values
}

function serverRefusal(body: Buffer): ServerRefusal {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((field) => [field[0], field.slice(1)]),
  )
  return { code: fields.get('C') ?? 'XX000', message: fields.get('M') ?? 'no message' }
}
