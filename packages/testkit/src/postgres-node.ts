import { join } from 'node:path'
import type { Duration } from '@cays/core/duration'
import { optionReader, TestkitError } from './errors.ts'
import { poll } from './poll.ts'
import { freePort } from './ports.ts'
import { copyRunningServer, give } from './postgres-backup.ts'
import { type PostgresLogEntry, readPostgresLog, truncateLog } from './postgres-log.ts'
import { Postmaster, type PostmasterContext } from './postgres-postmaster.ts'
import { type PostgresRow, PostgresSession, type PostgresSqlOptions } from './postgres-session.ts'
import type { PostgresSettings } from './postgres-settings.ts'
import type { ServerProcess } from './server-process.ts'

/** What every verb takes. */
export interface PostgresVerbOptions {
  /** Detaches the caller; the verb rejects with the signal's reason, and what it has begun may go on. */
  readonly signal?: AbortSignal | undefined
}

/** How a server is stopped. */
export interface PostgresStopOptions extends PostgresVerbOptions {
  /**
   * `fast` rolls back what is open and writes a checkpoint; `smart` waits for clients to leave; `immediate`
   * leaves as a crash would. @default 'fast'
   */
  readonly mode?: 'fast' | 'smart' | 'immediate'
  /** How long to wait before leaving immediately. @default '5s' */
  readonly timeout?: Duration
}

/** What of a server is frozen. */
export interface PostgresFreezeOptions {
  /**
   * `all` also stops the sessions that are open: nothing answers. `postmaster` stops only the process that
   * accepts connections: open sessions go on, new ones hang. @default 'all'
   */
  readonly scope?: 'all' | 'postmaster'
}

/** How a server takes up its new upstream. */
export interface PostgresRepointOptions extends PostgresVerbOptions {
  /** Copies the data of the new upstream again, as needed when this server holds writes that the other lacks. */
  readonly rebuild?: boolean
}

/** A server that a replica can follow: another node, or a fault proxy in front of one. */
export interface PostgresUpstream {
  readonly port: number
}

/** What a node needs from its cluster. */
export interface PostgresNodeContext extends PostmasterContext {
  readonly promoted: (node: PostgresNode) => void
}

const STOP_SIGNALS = { fast: 'SIGINT', smart: 'SIGTERM', immediate: 'SIGQUIT' } as const

/**
 * One Postgres server on 127.0.0.1. It keeps its port and its data from start to start.
 *
 * Verbs reject with `TESTKIT_ERR_STATE` when they do not fit the server's state, with `TESTKIT_ERR_TIMEOUT` when
 * it does not follow within 15 s, and with `TESTKIT_ERR_CLOSED` once the cluster is closed.
 */
export class PostgresNode {
  /** `n0`, `n1`, …; also the `application_name` under which a replica streams. */
  readonly name: string
  readonly host: '127.0.0.1' = '127.0.0.1'
  readonly #context: PostgresNodeContext
  readonly #postmaster: Postmaster
  #role: 'primary' | 'replica' = 'primary'

  /** @internal */
  constructor(context: PostgresNodeContext) {
    this.name = context.name
    this.#context = context
    this.#postmaster = new Postmaster(context)
  }

  /** Given by the system at the first start. */
  get port(): number {
    return this.#postmaster.port
  }

  /** The connection string: user and database `postgres`, no password. */
  get url(): string {
    return this.urlOf('postgres')
  }

  /** What the verbs last made of it; a `primary` that was replaced and started again is a primary still. */
  get role(): 'primary' | 'replica' {
    return this.#role
  }

  get state(): 'running' | 'frozen' | 'stopped' {
    const { process } = this.#postmaster
    if (!process) return 'stopped'
    return process.frozen ? 'frozen' : 'running'
  }

  /** The pid of the postmaster; `undefined` while the server is stopped. */
  get pid(): number | undefined {
    return this.#postmaster.process?.pid
  }

  /** The folder with the server's data. */
  get data(): string {
    return this.#postmaster.data
  }

  /** The connection string of another database. */
  urlOf(database: string): string {
    return `postgres://postgres@${this.host}:${this.port}/${encodeURIComponent(database)}`
  }

  /**
   * Runs statements over the simple query protocol on a connection of their own and resolves with the rows of
   * the last; every value is the server's text or `null`. For set-up and checks: it leaves no line in `log()`.
   * A refusal rejects with `TESTKIT_ERR_REPLY`, whose `cause.code` is the SQLSTATE. There is no time limit.
   */
  sql(text: string, options: PostgresSqlOptions = {}): Promise<readonly PostgresRow[]> {
    return this.#verb(options.signal, async (signal) => {
      this.#must('running')
      using session = await PostgresSession.open(this.port, { ...options, signal })
      return await session.query(text)
    })
  }

  /** Starts the stopped server and resolves once it takes connections. */
  start(options: PostgresVerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      if (this.state !== 'stopped') throw this.#wrong('runs already')
      if (this.port !== 0) return await this.#postmaster.start(this.port, signal)
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#postmaster.start(await freePort(), signal)
        } catch (error) {
          if (attempt === 5 || !this.#postmaster.portWasTaken) throw error
        }
      }
    })
  }

  /** Stops the server in good order; a frozen one is thawed first. Does nothing when it is stopped. */
  stop(options: PostgresStopOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      const mode = optionReader('stop').oneOf('mode', options.mode, 'fast', ['fast', 'smart', 'immediate'])
      const timeout = optionReader('stop').duration('timeout', options.timeout, 5_000)
      await this.#postmaster.stop(STOP_SIGNALS[mode], timeout, signal)
    })
  }

  /** Ends the postmaster and every session with SIGKILL, as a crash of the machine would; the data stays. */
  kill(): Promise<void> {
    return this.#verb(undefined, () => this.#postmaster.kill())
  }

  /** Stops the server's processes where they stand (SIGSTOP): connections stay open and nothing answers. */
  freeze(options: PostgresFreezeOptions = {}): Promise<void> {
    return this.#verb(undefined, async () => {
      this.#must('running').freeze(options.scope === 'postmaster' ? 'root' : 'all')
    })
  }

  /** Undoes {@link freeze}; what had piled up is then answered. */
  thaw(): Promise<void> {
    return this.#verb(undefined, async () => this.#must('frozen').thaw())
  }

  /** Makes the replica a primary and resolves once it takes writes. Its former upstream is left as it is. */
  promote(options: PostgresVerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      if (this.#role !== 'replica') throw this.#wrong('is a primary already')
      await this.#until(
        'takes writes',
        'select pg_promote(true, 15)',
        'select not pg_is_in_recovery()',
        signal,
      )
      this.#role = 'primary'
      this.#context.promoted(this)
    })
  }

  /**
   * Makes this server follow another one, and resolves once it streams from it. A running replica changes over
   * without a restart. A stopped server, a former primary too, becomes a replica and is started with `start()`,
   * or at once when `rebuild` is set.
   */
  repoint(to: PostgresUpstream, options: PostgresRepointOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      if (options.rebuild) {
        await this.discard()
        await this.copyFrom(to, signal)
        await this.#postmaster.start(this.port, signal)
        return await this.streaming(signal)
      }
      const { state } = this
      if (state === 'frozen') throw this.#wrong('is frozen: thaw it first, or rebuild it')
      if (state === 'running' && this.#role === 'primary') {
        throw this.#wrong('runs as a primary: stop it first, or rebuild it')
      }
      await this.becomeReplicaOf(to)
      if (state === 'stopped') return
      await this.#postmaster.reload(signal)
      await this.streaming(signal)
    })
  }

  /**
   * Makes the replica apply each commit no earlier than that long after the primary made it; 0 ends it. What
   * was already held back is then applied at once.
   */
  async lag(duration: Duration, options: PostgresVerbOptions = {}): Promise<void> {
    const delay = optionReader('lag').duration('duration', duration, 0)
    await this.configure(
      { recovery_min_apply_delay: delay === 0 ? undefined : `${Math.ceil(delay)}ms` },
      options,
    )
  }

  /** Stops applying changes on the replica, which goes on receiving them and answering from what it has. */
  pauseReplay(options: PostgresVerbOptions = {}): Promise<void> {
    const paused = `select pg_get_wal_replay_pause_state() = 'paused'`
    return this.#verb(options.signal, (signal) =>
      this.#until('has paused its replay', 'select pg_wal_replay_pause()', paused, signal),
    )
  }

  /** Undoes {@link pauseReplay}. */
  async resumeReplay(options: PostgresVerbOptions = {}): Promise<void> {
    await this.sql('select pg_wal_replay_resume()', options)
  }

  /**
   * Changes settings and reloads them; resolves once new sessions see them. Those that need a restart take effect
   * with the next `start()`, as does everything given to a stopped or frozen server.
   */
  configure(settings: PostgresSettings, options: PostgresVerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      await this.#postmaster.configure(settings)
      if (this.state === 'running') await this.#postmaster.reload(signal)
    })
  }

  /**
   * The server's log (its last 16 MiB), oldest first, without the lines of this package's own sessions. What a
   * session did is in it as soon as the session has its answer. Statements are there with `logStatements`.
   */
  log(): readonly PostgresLogEntry[] {
    return readPostgresLog(this.#postmaster.log)
  }

  /** Empties the log. */
  clearLog(): void {
    truncateLog(this.#postmaster.log)
  }

  /** What the settings of these names are now, so that they can be put back. @internal */
  configured(settings: PostgresSettings): PostgresSettings {
    return Object.fromEntries(Object.keys(settings).map((name) => [name, this.#postmaster.settings[name]]))
  }

  /** Fills the data folder of a node that was never started, or whose folder was removed. @internal */
  async copyFrom({ port }: PostgresUpstream, signal: AbortSignal): Promise<void> {
    this.#postmaster.makeDataFolder()
    await copyRunningServer(port, this.data, this.#context.installation.account, signal)
    await this.becomeReplicaOf({ port })
  }

  /** @internal */
  makeDataFolder(): void {
    this.#postmaster.makeDataFolder()
  }

  /** Writes the files that make this server a standby at its next start, or at the next reload. @internal */
  async becomeReplicaOf({ port }: PostgresUpstream): Promise<void> {
    const conninfo = `host=${this.host} port=${port} user=postgres application_name=${this.name}`
    await give(join(this.data, 'standby.signal'), '', this.#context.installation.account)
    await this.#postmaster.configure({ primary_conninfo: conninfo })
    this.#role = 'replica'
  }

  /** Resolves once the running replica receives the changes of its upstream. @internal */
  async streaming(signal?: AbortSignal): Promise<void> {
    const port = /port=(\d+)/.exec(String(this.#postmaster.settings.primary_conninfo))?.[1]
    const receiver = `select count(*) = 1 from pg_stat_wal_receiver where status = 'streaming' and sender_port = ${port}`
    await this.#until('streams from its upstream', '', receiver, signal)
  }

  /** Ends the server whatever its state, quickly, and removes its data. @internal */
  discard(): Promise<void> {
    return this.#postmaster.discard()
  }

  #verb<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { lifecycle } = this.#context
    return lifecycle.run(() => work(signal ? AbortSignal.any([signal, lifecycle.signal]) : lifecycle.signal))
  }

  // Runs a statement and asks again and again until the answer is true.
  async #until(
    what: string,
    first: string,
    question: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#must('running')
    using session = await PostgresSession.open(this.port, { signal })
    await session.query(first)
    await poll(async () => Object.values((await session.query(question))[0] ?? {})[0] === 't', {
      until: `${this.name} ${what}`,
      signal,
    })
  }

  #must(state: 'running' | 'frozen'): ServerProcess {
    const { process } = this.#postmaster
    if (!process || this.state !== state) throw this.#wrong(`is ${this.state}, and must be ${state} for this`)
    return process
  }

  #wrong(what: string): TestkitError {
    return new TestkitError('TESTKIT_ERR_STATE', `the server ${this.name} ${what}`)
  }
}
