import { deadline, raceAbort } from '@cays/core/abort'
import type { Attempt } from './attempt.ts'
import type { Connection } from './connection.ts'
import { ConnectionPool, type PoolEvents, type Waiter } from './connection-pool.ts'
import { Failure } from './failure.ts'
import { type Position, parseLsn, reaches, sameLog } from './lsn.ts'
import type { ServerSettings, Settings } from './settings.ts'

/** What a server said it is. */
export type Role = 'primary' | 'replica' | 'unknown'
/** Whether a server answers its probes. */
export type Health = 'up' | 'down' | 'unknown'

/** What a probe saw. */
export interface Sample {
  readonly role: 'primary' | 'replica'
  /** Insert position of a primary, replay position of a replica. */
  readonly position: Position
  /** How stale the replica says it is, in milliseconds, where positions of replicas say nothing. */
  readonly lag?: number
  /** `performance.now()` when the probe was sent: what it saw is at least as new. */
  readonly sentAt: number
}

export const REPLAY_QUERY = 'select pg_last_wal_replay_lsn()::text as lsn'

/** Time constant after which a measured response time counts for a third, in milliseconds. */
const FORGET = 5_000

/** How long a replica that was not as far as hoped is asked first, the first time and at most, in milliseconds. */
const DOUBT = { first: 50, longest: 2_000 }

/** Something on its way to this server that can be given up. */
type Pending = Pick<Attempt, 'abandon' | 'place'>

/**
 * One Postgres server: its connections, what the last probe saw, and what is under way on it. Decides
 * nothing: who is primary and which server a statement goes to is the topology's and the execution's.
 */
export class Server {
  /** `host:port` */
  readonly name: string
  readonly url: string
  readonly weight: number
  readonly zone: string | undefined
  readonly pool: ConnectionPool
  /** A pooler stands in front: its connections outlive those of the server. */
  readonly pooled: boolean
  /** Passwords are asked for at each connection, so the next may fit where the last did not. */
  readonly rotates: boolean
  role: Role = 'unknown'
  health: Health = 'unknown'
  /** The newest sample of the present connection to the server; gone when that connection is. */
  sample: Sample | undefined
  /** `performance.now()` of a moment whose writes this replica has surely replayed. */
  freshAsOf = Number.NEGATIVE_INFINITY
  /** Takes nothing new. */
  draining = false
  /** Statements that failed for reasons of the server's own, one after the other. */
  failures = 0
  /** Moving average of the response time in milliseconds. */
  latency = 0
  /** Each knows its place: see {@link WaitingLine} for why this is no `Set`. */
  readonly #pending: Pending[] = []
  #measuredAt = 0
  #doubt = 0
  #doubtUntil = 0
  #coldAt = 0
  #warmAt = 0

  constructor({ url, weight, zone }: ServerSettings, settings: Settings, events: PoolEvents) {
    const { hostname, port } = new URL(url)
    this.name = `${hostname}:${port || '5432'}`
    this.url = url
    this.weight = weight
    this.zone = zone
    this.pooled = settings.pooler !== undefined
    this.rotates = settings.password !== undefined
    const config = { ...settings.pool, connectionString: url }
    this.pool = new ConnectionPool(config, settings.pipeline?.depth ?? 1, settings.password, events)
  }

  /** Statements sent or waiting for a connection. */
  get inFlight(): number {
    return this.#pending.length
  }

  begin(pending: Pending): void {
    pending.place = this.#pending.push(pending) - 1
  }

  finish(pending: Pending): void {
    const { place } = pending
    if (place < 0) return
    pending.place = -1
    const last = this.#pending.pop() as Pending
    if (last === pending) return
    this.#pending[place] = last
    last.place = place
  }

  /**
   * Ends the statements under way that have not been sent or may run again, as `force` all of them. Their
   * connections are thrown away.
   */
  abandon(error: Error, force: boolean): void {
    for (const pending of [...this.#pending]) pending.abandon(error, force)
  }

  /** A connection for a transaction or for state. Fails with kind `acquire`. */
  checkout(signal: AbortSignal | undefined): Promise<Connection | Failure> {
    return new Promise((resolve) => {
      const settle = (result: Connection | Failure) => {
        this.finish(pending)
        signal?.removeEventListener('abort', abort)
        resolve(result)
      }
      const waiter: Waiter = {
        connected: settle,
        refused: (error) => settle(new Failure('acquire', error)),
      }
      const pending: Pending = {
        place: -1,
        abandon: (error) => {
          this.pool.forget(waiter)
          waiter.refused(error)
        },
      }
      const abort = () => pending.abandon(signal?.reason, true)
      this.begin(pending)
      signal?.addEventListener('abort', abort, { once: true })
      this.pool.acquire(waiter, performance.now())
    })
  }

  /**
   * True when what `connection` reads from now on surely includes `position`: a sample taken after it was
   * opened had reached it. A restart of the server may take its replay back but ends every connection, so a
   * sample proves nothing for connections opened after it, nor for those of a pooler.
   */
  proves(connection: Connection, position: Position): boolean {
    const { sample } = this
    return (
      !this.pooled &&
      sample !== undefined &&
      connection.connectedAt < sample.sentAt &&
      reaches(sample.position, position)
    )
  }

  /** True when the newest sample had reached `position`. */
  reached(position: Position): boolean {
    return this.sample !== undefined && reaches(this.sample.position, position)
  }

  /** True when it may have come to `position`: positions of another timeline say nothing about it. */
  follows(position: Position): boolean {
    return (
      this.sample?.lag === undefined && this.sample !== undefined && sameLog(this.sample.position, position)
    )
  }

  /** True when a read may be sent with a question for the position ahead of it, rather than after the answer. */
  hopeful(now: number): boolean {
    return !this.pooled && now >= this.#doubtUntil
  }

  /** A read came too early or not; the more often the longer it is not tried again. */
  hoped(rightly: boolean, now: number): void {
    this.#doubt = rightly ? 0 : Math.min(this.#doubt * 2 || DOUBT.first, DOUBT.longest)
    this.#doubtUntil = now + this.#doubt
  }

  /** A connection heard that position when asked at `sentAt`; it is one more sample. */
  heard(position: Position, sentAt: number): void {
    const { sample } = this
    if (sample?.role !== 'replica' || sample.sentAt >= sentAt || !reaches(position, sample.position)) return
    this.sample = { ...sample, position, sentAt }
  }

  /** The position behind an answer to {@link REPLAY_QUERY}; `undefined` while the timeline is not known. */
  replayed(text: string | null | undefined): Position | undefined {
    const lsn = parseLsn(text ?? '')
    if (lsn === undefined || !this.sample) return undefined
    return { ...this.sample.position, lsn }
  }

  /** Proves `position` on a connection before a transaction begins there. */
  async prove(connection: Connection, position: Position): Promise<boolean> {
    if (this.proves(connection, position)) return true
    try {
      const { rows } = await connection.client.query<{ lsn: string | null }>(REPLAY_QUERY)
      const seen = this.replayed(rows[0]?.lsn)
      return seen !== undefined && reaches(seen, position)
    } catch {
      return false
    }
  }

  /** Expected response time in milliseconds: it is forgotten over time, so that a slow server gets new chances. */
  expected(now: number): number {
    return this.latency * Math.exp((this.#measuredAt - now) / FORGET)
  }

  /** It is back after it was down: its share of reads grows over so many milliseconds. */
  warmUp(milliseconds: number): void {
    this.#coldAt = performance.now()
    this.#warmAt = this.#coldAt + milliseconds
  }

  /** The share it takes of the reads that would be its own, 0 to 1. */
  warmth(now: number): number {
    return now >= this.#warmAt ? 1 : (now - this.#coldAt) / (this.#warmAt - this.#coldAt)
  }

  /** A statement took that long, in milliseconds. */
  measure(took: number, now: number): void {
    this.failures = 0
    this.#measuredAt = now
    this.latency = this.latency === 0 ? took : this.latency + (took - this.latency) * 0.1
  }

  /** Ends every connection, those in use too after so many milliseconds or when `hurry` aborts. */
  async close(patience = 1_000, hurry?: AbortSignal): Promise<void> {
    using limit = deadline(patience, () => undefined, hurry)
    await raceAbort(this.pool.end(), limit.signal).catch(() => {})
    this.pool.destroy()
  }
}
