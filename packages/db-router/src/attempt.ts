import type { Writable } from 'node:stream'
import pg, { type QueryResult } from 'pg'
import { type Cancellation, cancelBackend } from './cancel-backend.ts'
import { type Connection, pipelining } from './connection.ts'
import type { Waiter } from './connection-pool.ts'
import { Failure, isFatal, isServerError, isStalePlan } from './failure.ts'
import { type Position, reaches } from './lsn.ts'
import type { Pace } from './pace.ts'
import { REPLAY_QUERY, type Server } from './server.ts'

/** One statement as the driver takes it, and who hears what became of it. */
export interface Submission {
  readonly config: string | Readonly<Record<string, unknown>>
  readonly values: readonly unknown[] | undefined
  readonly signal: AbortSignal | undefined
  /** False for several statements in one text: a failure may leave a transaction open. */
  readonly single: boolean
  /** Running it twice does no harm. */
  readonly repeatable: boolean
  /** It may share a connection with others. */
  readonly shares: boolean
  /** The name to prepare it under; then `config` is its text. */
  readonly prepared: string | undefined
  /** Hears how long the server worked on it. */
  readonly pace: Pace | undefined
  /** It has a connection and goes out. */
  sending(): void
  /** Called once for each attempt. */
  ended(result: QueryResult | Failure): void
}

/** How long a cancelled statement may take to end before its connection is cut, in milliseconds. */
const LAST_WORD = 2_000

/**
 * One try of one statement on one server: takes a connection, lets the server prove its position if that is
 * needed, sends the statement, gives the connection back. Decides nothing.
 */
export class Attempt implements Waiter {
  /** Among those under way on the server; -1 when it is not. */
  place = -1
  readonly #server: Server
  readonly #submission: Submission
  readonly #verify: Position | undefined
  #connection: Connection | undefined
  /** `performance.now()`: since when it runs. */
  #startedAt: number
  #waited = false
  #settled = false
  #released = false
  #abort: (() => void) | undefined
  #cancellation: Cancellation | undefined
  /** What the probe sent ahead of the statement said; `undefined` when none was needed. */
  #proof: { seen: Position | undefined } | undefined

  /** The server must prove to be at `verify` if given. */
  constructor(server: Server, submission: Submission, verify: Position | undefined, now: number) {
    this.#server = server
    this.#submission = submission
    this.#verify = verify
    this.#startedAt = now
  }

  start(): void {
    const { signal } = this.#submission
    this.#server.begin(this)
    if (signal) {
      this.#abort = () => this.#aborted()
      signal.addEventListener('abort', this.#abort, { once: true })
    }
    if (this.#submission.shares) this.#server.pool.share(this, this.#startedAt)
    else this.#server.pool.acquire(this, this.#startedAt)
    this.#waited = true
  }

  connected(connection: Connection): void {
    this.#connection = connection
    if (this.#waited) this.#startedAt = performance.now()
    if (!this.#verify || this.#server.proves(connection, this.#verify)) this.#send(connection)
    else if (this.#server.pooled) this.#probeFirst(connection, this.#verify)
    else this.#probe(connection)
  }

  refused(error: unknown): void {
    this.#settle(new Failure('acquire', error))
  }

  /** Gives up if nothing was sent, if it may run again, or if `force`d. */
  abandon(error: Error, force: boolean): void {
    const connection = this.#connection
    if (this.#settled || (connection && !force && !this.#submission.repeatable)) return
    if (connection) {
      this.#release(connection, true)
      this.#settle(new Failure('lost', error))
    } else {
      this.#server.pool.forget(this)
      this.#settle(new Failure('acquire', error))
    }
  }

  /** Asks for the position and sends the statement right behind: both answers come in one round trip. */
  #probe(connection: Connection): void {
    const proof: { seen: Position | undefined } = { seen: undefined }
    const sentAt = performance.now()
    this.#proof = proof
    if (!this.#submission.shares) pipelining(connection, true)
    const stream = streamOf(connection)
    // Both leave in one write.
    stream.cork()
    connection.client.query<{ lsn: string | null }>(REPLAY_QUERY, (error, result) => {
      if (error) return
      proof.seen = this.#server.replayed(result.rows[0]?.lsn)
      if (proof.seen) this.#server.heard(proof.seen, sentAt)
    })
    this.#send(connection)
    stream.uncork()
  }

  /** Behind a pooler one thing is asked at a time. */
  #probeFirst(connection: Connection, verify: Position): void {
    this.#server.prove(connection, verify).then((proven) => {
      if (proven && !this.#settled) {
        this.#send(connection)
        return
      }
      this.#release(connection, connection.dead)
      this.#settle(new Failure('behind', undefined))
    })
  }

  #send(connection: Connection): void {
    const { config, values, prepared, shares } = this.#submission
    const answered = (error: Error | null | undefined, result: QueryResult) =>
      this.#answered(connection, error, result)
    this.#submission.sending()
    if (shares) bundle(connection)
    try {
      if (prepared === undefined) {
        connection.client.query(config as string, values as unknown[], answered as never)
      } else {
        connection.prepared.add(prepared)
        const query = new pg.Query(config as string, values as unknown[], answered as never)
        ;(query as { name?: string }).name = prepared
        connection.client.query(query)
      }
    } catch (error) {
      // The driver does not take it, so nothing was sent.
      this.#release(connection, false)
      this.#settle(new Failure('statement', error))
    }
  }

  #answered(connection: Connection, error: Error | null | undefined, result: QueryResult): void {
    const now = performance.now()
    const behind = this.#proof !== undefined && !this.#proven()
    const { shares, pace } = this.#submission
    if (this.#proof && !shares) pipelining(connection, false)
    // On a shared connection the server began with it when it was done with the one before.
    pace?.took(now - Math.max(this.#startedAt, connection.answeredAt))
    if (!error) {
      const clean = connection.client.getTransactionStatus() === 'I' && !connection.dead
      this.#release(connection, !clean || this.#cancellation !== undefined, now)
      this.#server.measure(now - this.#startedAt, now)
      this.#settle(behind ? new Failure('behind', undefined) : result)
      return
    }
    const lives = isServerError(error) ? !isFatal(error) : !connection.dead && !isTimeout(error)
    const reusable =
      lives &&
      this.#submission.single &&
      // What the connection believes to be prepared is not what the server has.
      !isStalePlan(error) &&
      this.#server.pool.isCurrent(connection)
    this.#release(connection, !reusable, now)
    if (behind && lives) this.#settle(new Failure('behind', undefined))
    else this.#settle(new Failure(lives ? 'statement' : 'lost', error))
  }

  #proven(): boolean {
    const seen = this.#proof?.seen
    return seen !== undefined && this.#verify !== undefined && reaches(seen, this.#verify)
  }

  #aborted(): void {
    const { signal, repeatable, shares } = this.#submission
    const connection = this.#connection
    if (!connection) {
      this.#server.pool.forget(this)
      this.#settle(new Failure('acquire', signal?.reason))
      return
    }
    if (shares) {
      // A request to cancel would hit whatever of the connection's statements runs now.
      this.#settle(new Failure(repeatable ? 'statement' : 'lost', signal?.reason))
      return
    }
    this.#cancellation ??= cancelBackend(connection.client)
    // Nobody needs to know what became of a read. A write is worth waiting for the server's last word.
    if (repeatable) this.#settle(new Failure('statement', signal?.reason))
    setTimeout(() => {
      this.#release(connection, true)
      this.#settle(new Failure('lost', signal?.reason))
    }, LAST_WORD).unref()
  }

  #release(connection: Connection, destroy: boolean, now = performance.now()): void {
    if (this.#released) return
    this.#released = true
    const { pool } = this.#server
    if (this.#submission.shares) pool.unshare(connection, destroy, now)
    else if (!this.#cancellation || destroy) pool.release(connection, destroy, now)
    // The next statement must not be hit by a request meant for this one.
    else this.#cancellation.done.then((landed) => pool.release(connection, !landed, performance.now()))
  }

  #settle(result: QueryResult | Failure): void {
    if (this.#settled) return
    this.#settled = true
    this.#server.finish(this)
    if (this.#abort) this.#submission.signal?.removeEventListener('abort', this.#abort)
    this.#submission.ended(result)
  }
}

/** What is sent over a connection within one turn of the event loop, whoever was answered in it, leaves in one write. */
function bundle(connection: Connection): void {
  const stream = streamOf(connection)
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(() => stream.uncork())
}

function streamOf({ client }: Connection): Writable {
  return (client.connection as unknown as { stream: Writable }).stream
}

function isTimeout(error: Error): boolean {
  return error.message === 'Query read timeout'
}
