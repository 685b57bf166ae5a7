import { delay } from '@cays/core/abort'
import pg, { type PoolClient, type PoolConfig, type QueryResult } from 'pg'
import { type Cancellation, cancelBackend } from './cancel-backend.ts'
import { Failure, isFatal, isServerError } from './failure.ts'
import { type Position, parseLsn } from './lsn.ts'

/** What a server said it is. */
export type Role = 'primary' | 'replica' | 'unknown'
/** Whether a server answers its probes. */
export type Health = 'up' | 'down' | 'unknown'

/** One statement as the driver takes it. */
export interface Submission {
  readonly config: string | Readonly<Record<string, unknown>>
  readonly values: readonly unknown[] | undefined
  readonly signal: AbortSignal | undefined
  /** False for several statements in one text: a failure may leave a transaction open. */
  readonly single: boolean
  /** Running it twice does no harm. */
  readonly repeatable: boolean
}

/** What a probe saw. */
export interface Sample {
  readonly role: 'primary' | 'replica'
  /** Insert position of a primary, replay position of a replica. */
  readonly position: Position
  /** `performance.now()` when the probe was sent: what it saw is at least as new. */
  readonly sentAt: number
}

export const REPLAY_QUERY = 'select pg_last_wal_replay_lsn()::text as lsn'

/** How long a cancelled statement may take to end before its connection is cut, in milliseconds. */
const LAST_WORD = 2_000
/** Time constant after which a measured response time counts for a third, in milliseconds. */
const FORGET = 5_000

interface ClientState {
  readonly connectedAt: number
  readonly generation: number
  dead: boolean
}

interface Attempt {
  /** Gives up if nothing was sent, if it may run again, or if `force`d. */
  fail(error: Error, force: boolean): void
}

/**
 * One Postgres server: its pool, what the last probe saw, and the statements under way on it. Decides
 * nothing: who is primary and which server a statement goes to is the topology's and the dispatcher's.
 */
export class Server {
  /** `host:port` */
  readonly name: string
  readonly url: string
  readonly weight: number
  readonly pool: pg.Pool
  role: Role = 'unknown'
  health: Health = 'unknown'
  /** The newest sample of the present connection to the server; gone when that connection is. */
  sample: Sample | undefined
  /** `performance.now()` of a moment whose writes this replica has surely replayed. */
  freshAsOf = Number.NEGATIVE_INFINITY
  /** Statements sent or waiting for a connection. */
  inFlight = 0
  /** Moving average of the response time in milliseconds. */
  latency = 0
  readonly #clients = new WeakMap<PoolClient, ClientState>()
  readonly #attempts = new Set<Attempt>()
  readonly #connected = new Set<PoolClient>()
  #generation = 0
  #measuredAt = 0

  constructor(url: string, weight: number, config: PoolConfig) {
    const { hostname, port } = new URL(url)
    this.name = `${hostname}:${port || '5432'}`
    this.url = url
    this.weight = weight
    this.pool = new pg.Pool({ ...config, connectionString: url })
    this.pool.on('connect', (client) => {
      const state: ClientState = { connectedAt: performance.now(), generation: this.#generation, dead: false }
      this.#clients.set(client, state)
      this.#connected.add(client)
      // pg-pool takes its own listener off while a client is checked out; without one a FATAL ends the process.
      client.on('error', () => {
        state.dead = true
      })
      client.on('end', () => {
        state.dead = true
        this.#connected.delete(client)
      })
    })
  }

  /** Everything connected before now is not used again: the server changed its role or its data. */
  evict(): void {
    this.#generation++
  }

  /**
   * Ends the statements under way that have not been sent or may run again, as `force` all of them. Their
   * connections are thrown away.
   */
  abandon(error: Error, force: boolean): void {
    for (const attempt of [...this.#attempts]) attempt.fail(error, force)
  }

  /** A connection of the present generation. Fails with kind `acquire`. */
  async checkout(): Promise<PoolClient | Failure> {
    for (;;) {
      let attempt: Attempt | undefined
      const abandoned = new Promise<Failure>((resolve) => {
        attempt = { fail: (error) => resolve(new Failure('acquire', error)) }
        this.#attempts.add(attempt)
      })
      const connecting = this.pool.connect()
      this.inFlight++
      try {
        const client = await Promise.race([connecting, abandoned])
        if (client instanceof Failure) {
          connecting.then(
            (late) => late.release(true),
            () => {},
          )
          return client
        }
        if (this.isCurrent(client)) return client
        client.release(true)
      } catch (error) {
        return new Failure('acquire', error)
      } finally {
        this.inFlight--
        if (attempt) this.#attempts.delete(attempt)
      }
    }
  }

  isCurrent(client: PoolClient): boolean {
    const state = this.#clients.get(client)
    return state !== undefined && state.generation === this.#generation && !state.dead
  }

  isDead(client: PoolClient): boolean {
    return this.#clients.get(client)?.dead ?? true
  }

  /**
   * True when what `client` reads from now on surely includes `position`: a sample taken after it connected
   * had reached it. A restart of the server may take its replay back but ends every connection, so a sample
   * proves nothing for connections made after it.
   */
  proves(client: PoolClient, position: Position): boolean {
    const state = this.#clients.get(client)
    return state !== undefined && this.sample !== undefined
      ? state.connectedAt < this.sample.sentAt && reaches(this.sample.position, position)
      : false
  }

  /** True when the newest sample had reached `position`. */
  reached(position: Position): boolean {
    return this.sample !== undefined && reaches(this.sample.position, position)
  }

  /**
   * Runs one statement on a pooled connection, after the server has proved to be at `verify` if given.
   * Resolves with the result or with how it failed; never rejects.
   */
  run(submission: Submission, verify: Position | undefined): Promise<QueryResult | Failure> {
    return new Promise((resolve) => {
      const { config, values, signal } = submission
      let started = 0
      let client: PoolClient | undefined
      let settled = false
      let cancellation: Cancellation | undefined

      const settle = (result: QueryResult | Failure) => {
        if (settled) return
        settled = true
        this.inFlight--
        this.#attempts.delete(attempt)
        signal?.removeEventListener('abort', abort)
        resolve(result)
      }
      const attempt: Attempt = {
        fail: (error, force) => {
          if (settled || (client && !force && !submission.repeatable)) return
          settle(new Failure(client ? 'lost' : 'acquire', error))
          if (client) release(client, true)
        },
      }
      let released = false
      const release = (held: PoolClient, destroy: boolean) => {
        if (released) return
        released = true
        if (!cancellation || destroy) held.release(destroy)
        else cancellation.done.then((landed) => held.release(!landed))
      }
      const abort = () => {
        const held = client
        if (!held) {
          settle(new Failure('acquire', signal?.reason))
          return
        }
        cancellation ??= cancelBackend(held)
        // Nobody needs to know what became of a read. A write is worth waiting for the server's last word.
        if (submission.repeatable) settle(new Failure('statement', signal?.reason))
        setTimeout(() => {
          settle(new Failure('lost', signal?.reason))
          release(held, true)
        }, LAST_WORD).unref()
      }
      const send = (held: PoolClient) => {
        started = performance.now()
        const answered = (error: Error | undefined, result: QueryResult) => {
          if (!error) {
            const clean = held.getTransactionStatus() === 'I' && !this.isDead(held)
            settle(result)
            release(held, !clean || cancellation !== undefined)
            this.#measure(performance.now() - started)
            return
          }
          const lives = isServerError(error) ? !isFatal(error) : !this.isDead(held) && !isTimeout(error)
          settle(new Failure(lives ? 'statement' : 'lost', error))
          release(held, !lives || !submission.single || !this.isCurrent(held))
        }
        if (typeof config === 'string') held.query(config, values as never, answered as never)
        else held.query({ ...config, ...(values ? { values } : {}) } as never, answered as never)
      }
      const connected = (error: Error | undefined, held: PoolClient | undefined) => {
        if (settled) {
          held?.release(!!held && !this.isCurrent(held))
          return
        }
        if (error || !held) {
          settle(new Failure('acquire', error))
          return
        }
        if (!this.isCurrent(held)) {
          held.release(true)
          this.pool.connect(connected)
          return
        }
        client = held
        if (!verify || this.proves(held, verify)) {
          send(held)
          return
        }
        this.#verify(held, verify).then((position) => {
          if (settled) return
          if (position instanceof Failure) {
            settle(position)
            release(held, position.kind === 'lost')
          } else if (reaches(position, verify)) {
            send(held)
          } else {
            settle(new Failure('behind', undefined))
            release(held, false)
          }
        })
      }

      this.inFlight++
      this.#attempts.add(attempt)
      if (signal) {
        if (signal.aborted) {
          abort()
          return
        }
        signal.addEventListener('abort', abort, { once: true })
      }
      this.pool.connect(connected)
    })
  }

  /** The replay position as `client` sees it now. */
  async #verify(client: PoolClient, wanted: Position): Promise<Position | Failure> {
    try {
      const result = await client.query<{ lsn: string | null }>(REPLAY_QUERY)
      const lsn = parseLsn(result.rows[0]?.lsn ?? '')
      if (lsn === undefined || !this.sample) return new Failure('behind', undefined)
      return { timeline: this.sample.position.timeline, lsn }
    } catch (error) {
      return new Failure('lost', error)
    } finally {
      void wanted
    }
  }

  /** Proves `position` on `client` before a transaction begins there. */
  async prove(client: PoolClient, position: Position): Promise<boolean> {
    if (this.proves(client, position)) return true
    const seen = await this.#verify(client, position)
    return !(seen instanceof Failure) && reaches(seen, position)
  }

  /** Expected response time in milliseconds: it is forgotten over time, so that a slow server gets new chances. */
  expected(now: number): number {
    return this.latency * Math.exp((this.#measuredAt - now) / FORGET)
  }

  /** Ends every connection, within a second those in use too. */
  async close(): Promise<void> {
    const ended = this.pool.end()
    const patience = new AbortController()
    await Promise.race([ended, delay(1_000, { signal: patience.signal }).catch(() => {})])
    patience.abort()
    for (const client of this.#connected) (client.connection.stream as { destroy(): void }).destroy()
  }

  #measure(milliseconds: number): void {
    this.#measuredAt = performance.now()
    this.latency = this.latency === 0 ? milliseconds : this.latency + (milliseconds - this.latency) * 0.1
  }
}

/** Positions of different timelines prove nothing about each other. */
export function reaches(seen: Position, wanted: Position): boolean {
  return seen.timeline === wanted.timeline && seen.lsn >= wanted.lsn
}

function isTimeout(error: Error): boolean {
  return error.message === 'Query read timeout'
}
