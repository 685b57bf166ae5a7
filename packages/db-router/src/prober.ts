import { delay } from '@cays/core/abort'
import pg from 'pg'
import { answerPassword } from './connection.ts'
import { codeOf } from './failure.ts'
import { type Position, parseLsn } from './lsn.ts'
import { REPLAY_QUERY, type Sample, type Server } from './server.ts'
import type { Settings } from './settings.ts'

// On a standby the checkpoint's timeline lags a switch until its next restartpoint; the WAL receiver's does
// not, but only roles with pg_read_all_stats see it. The higher of the two is never ahead of the truth.
function probe(system: string): string {
  return `select pg_is_in_recovery() as standby, ${system} as system,
  case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text as lsn,
  case when pg_is_in_recovery()
    then greatest((select timeline_id from pg_control_checkpoint()), (select received_tli from pg_stat_wal_receiver))
    else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end as timeline`
}

const PROBE = probe('(select system_identifier::text from pg_control_system())')
/** For roles that may not ask: then all servers count as one system. */
const PROBE_WITHOUT_SYSTEM = probe("''")
const INSUFFICIENT_PRIVILEGE = '42501'

interface ProbeRow {
  readonly standby: boolean
  readonly lsn: string | null
  readonly timeline: number
  readonly system: string
  readonly lag?: number | null
}

type ProberSettings = Pick<Settings, 'pool' | 'health' | 'password' | 'discovery'>

/** Asks one server, over a connection of its own and off the path of queries, who it is and how far it is. */
export class Prober {
  readonly #server: Server
  readonly #settings: ProberSettings
  #client: pg.Client | undefined
  #connecting: Promise<pg.Client> | undefined
  #closed = false
  #text: string

  constructor(server: Server, settings: ProberSettings) {
    this.#server = server
    this.#settings = settings
    this.#text = settings.discovery?.probe ?? PROBE
  }

  /** One probe, within the timeout. A failure throws away the connection and what was known over it. */
  async probe(): Promise<Sample> {
    const read = (row: ProbeRow, sentAt: number): Sample => {
      const lsn = parseLsn(row.lsn ?? '')
      if (lsn === undefined) throw new Error('the server gave no position in the log')
      const { system, timeline, lag } = row
      return {
        role: row.standby ? 'replica' : 'primary',
        position: { system, timeline, lsn },
        sentAt,
        ...(typeof lag === 'number' ? { lag } : {}),
      }
    }
    try {
      return await this.#ask(this.#text, read)
    } catch (error) {
      if (this.#text === PROBE && codeOf(error) === INSUFFICIENT_PRIVILEGE) this.#text = PROBE_WITHOUT_SYSTEM
      throw error
    }
  }

  /** A cheaper look at how far a replica has replayed, in the log that the last probe saw. */
  async replay(known: Position): Promise<Sample> {
    return await this.#ask(REPLAY_QUERY, (row: ProbeRow, sentAt) => {
      const lsn = parseLsn(row.lsn ?? '')
      if (lsn === undefined) throw new Error('the server gave no position in the log')
      return { role: 'replica', position: { ...known, lsn }, sentAt }
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#discard()
  }

  async #ask(text: string, read: (row: ProbeRow, sentAt: number) => Sample): Promise<Sample> {
    let expired = false
    const work = (async () => {
      const client = await this.#connected()
      const sentAt = performance.now()
      const { rows } = await client.query<ProbeRow>(text)
      return read(rows[0] as ProbeRow, sentAt)
    })()
    const timer = new AbortController()
    const limit = (async () => {
      await delay(this.#settings.health.timeout, { signal: timer.signal, unref: true })
      // A blocked event loop fires timers before it reads sockets: let an answer that is already here win.
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => setImmediate(resolve))
      expired = true
      throw new Error(`no answer to a probe within ${this.#settings.health.timeout} ms`)
    })()
    limit.catch(() => {})
    work.catch(() => {})
    try {
      return await Promise.race([work, limit])
    } catch (error) {
      this.#discard()
      throw error
    } finally {
      if (!expired) timer.abort()
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client
    this.#connecting ??= this.#connect()
    try {
      return await this.#connecting
    } finally {
      this.#connecting = undefined
    }
  }

  async #connect(): Promise<pg.Client> {
    if (this.#closed) throw new Error('the prober is closed')
    const { max, min, idleTimeoutMillis, query_timeout, ...config } = this.#settings.pool
    void [max, min, idleTimeoutMillis, query_timeout]
    const client = new pg.Client({
      ...config,
      connectionString: this.#server.url,
      connectionTimeoutMillis: this.#settings.health.timeout,
      pipeline: true,
    })
    answerPassword(client, this.#settings.password)
    const forget = () => {
      if (this.#client === client) this.#client = undefined
    }
    client.on('error', forget)
    client.on('end', forget)
    await client.connect()
    if (this.#closed) {
      await client.end()
      throw new Error('the prober is closed')
    }
    // The prober must not keep the process alive.
    ;(client as unknown as { unref(): void }).unref()
    this.#client = client
    return client
  }

  #discard(): void {
    const client = this.#client
    this.#client = undefined
    if (!client) return
    ;(client.connection.stream as { destroy(): void }).destroy()
  }
}
