import { spawnSync } from 'node:child_process'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Duration, parseDuration } from '@cays/core/duration'
import type { Lifecycle } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { poll } from './poll.ts'
import { freePort } from './ports.ts'
import { copyRunningServer, give } from './postgres-backup.ts'
import type { PostgresInstallation } from './postgres-installation.ts'
import {
  LOG_LINE_PREFIX,
  type PostgresLogEntry,
  readPostgresLog,
  readTail,
  truncateLog,
} from './postgres-log.ts'
import { type PostgresRow, PostgresSession, type SessionOptions } from './postgres-session.ts'
import { type PostgresSettings, renderSettings } from './postgres-settings.ts'
import { makeFolderFor } from './server-account.ts'
import { ServerProcess } from './server-process.ts'

export interface VerbOptions {
  readonly signal?: AbortSignal | undefined
}

export interface PostgresStopOptions extends VerbOptions {
  /**
   * `fast` rolls back what is open and writes a checkpoint; `smart` waits for clients to leave; `immediate`
   * leaves as a crash would. @default 'fast'
   */
  readonly mode?: 'fast' | 'smart' | 'immediate'
  /** How long to wait before leaving immediately. @default '5s' */
  readonly timeout?: Duration
}

export interface PostgresFreezeOptions {
  /**
   * `all` also stops the sessions that are open: nothing answers. `postmaster` stops only the process that
   * accepts connections: open sessions go on, new ones hang. @default 'all'
   */
  readonly scope?: 'all' | 'postmaster'
}

export interface RepointOptions extends VerbOptions {
  /** Copies the data of the new upstream again, as needed when this server holds writes that the other lacks. */
  readonly rebuild?: boolean
}

/** A server that a replica can follow: another node, or a fault proxy in front of one. */
export interface Upstream {
  readonly port: number
}

/** What a node needs from its cluster. */
export interface PostgresNodeContext {
  readonly name: string
  /** A folder of its own, which belongs to the server's account. */
  readonly folder: string
  readonly installation: PostgresInstallation
  readonly lifecycle: Lifecycle
  readonly settings: PostgresSettings
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
  readonly #settings = new Map<string, string | number | boolean | undefined>()
  readonly #data: string
  readonly #logFile: string
  #port = 0
  #role: 'primary' | 'replica' = 'primary'
  #process: ServerProcess | undefined
  #generation = 0

  /** @internal */
  constructor(context: PostgresNodeContext) {
    this.name = context.name
    this.#context = context
    this.#data = join(context.folder, 'data')
    this.#logFile = join(context.folder, 'log')
    for (const [name, value] of Object.entries(context.settings)) this.#settings.set(name, value)
  }

  /** Given by the system at the first start. */
  get port(): number {
    return this.#port
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
    if (!this.#process?.running) return 'stopped'
    return this.#process.frozen ? 'frozen' : 'running'
  }

  /** The pid of the postmaster; `undefined` while the server is stopped. */
  get pid(): number | undefined {
    return this.#process?.running ? this.#process.pid : undefined
  }

  /** The folder with the server's data. */
  get data(): string {
    return this.#data
  }

  /** The connection string of another database. */
  urlOf(database: string): string {
    return `postgres://postgres@${this.host}:${this.#port}/${encodeURIComponent(database)}`
  }

  /**
   * Runs statements over the simple query protocol on a connection of their own and resolves with the rows of
   * the last; every value is the server's text or `null`. For set-up and checks: it leaves no line in `log()`.
   * A refusal rejects with `TESTKIT_ERR_REPLY`, whose `cause.code` is the SQLSTATE.
   */
  sql(text: string, options: SessionOptions = {}): Promise<readonly PostgresRow[]> {
    return this.#verb(options.signal, async (signal) => {
      using session = await PostgresSession.open(this.#port, { ...options, signal })
      return await session.query(text)
    })
  }

  /** Starts the stopped server and resolves once it takes connections. */
  start(options: VerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      if (this.state !== 'stopped') throw this.#wrong('runs already')
      if (this.#port !== 0) return await this.#launch(signal)
      for (let attempt = 1; ; attempt++) {
        this.#port = await freePort()
        try {
          return await this.#launch(signal)
        } catch (error) {
          // Somebody else was faster to bind the port.
          if (attempt === 5 || !/Address already in use/.test(readTail(this.#logFile, 4_000))) throw error
        }
      }
    })
  }

  /** Stops the server in good order; a frozen one is thawed first. Does nothing when it is stopped. */
  stop(options: PostgresStopOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      const { mode = 'fast', timeout = '5s' } = options
      const patience = parseDuration(timeout) ?? 5_000
      if ((await this.#process?.stop(STOP_SIGNALS[mode], patience, signal)) ?? true) return
      if (!(await this.#process?.stop('SIGQUIT', 3_000, signal))) await this.#process?.kill()
    })
  }

  /** Ends the postmaster and every session with SIGKILL, as a crash of the machine would; the data stays. */
  kill(): Promise<void> {
    return this.#verb(undefined, async () => this.#process?.kill())
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
  promote(options: VerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      this.#must('running')
      if (this.#role !== 'replica') throw this.#wrong('is a primary already')
      using session = await PostgresSession.open(this.#port, { signal })
      await session.query('select pg_promote(true, 15)')
      await poll(
        async () => (await session.query('show transaction_read_only'))[0]?.transaction_read_only === 'off',
        {
          until: `${this.name} takes writes`,
          signal,
        },
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
  repoint(to: Upstream, options: RepointOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      if (this.state === 'frozen') throw this.#wrong('is frozen')
      if (options.rebuild) {
        await this.discard()
        await this.copyFrom(to, signal)
        await this.#launch(signal)
        return await this.streaming(signal)
      }
      const running = this.state === 'running'
      if (running && this.#role === 'primary')
        throw this.#wrong('runs as a primary: stop it first, or rebuild it')
      await this.becomeReplicaOf(to)
      if (!running) return
      await this.#apply(signal)
      await this.streaming(signal)
    })
  }

  /**
   * Makes the replica apply each commit no earlier than that long after the primary made it; 0 ends it. What
   * was already held back is then applied at once.
   */
  lag(duration: Duration, options: VerbOptions = {}): Promise<void> {
    const milliseconds = parseDuration(duration)
    if (milliseconds === undefined) {
      throw new TestkitError('TESTKIT_ERR_OPTIONS', "lag: give a duration such as 250, '5s' or '2m'")
    }
    return this.configure(
      { recovery_min_apply_delay: milliseconds === 0 ? undefined : `${milliseconds}ms` },
      options,
    )
  }

  /** Stops applying changes on the replica, which goes on receiving them and answering from what it has. */
  pauseReplay(options: VerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      this.#must('running')
      using session = await PostgresSession.open(this.#port, { signal })
      await session.query('select pg_wal_replay_pause()')
      await poll(
        async () => (await session.query('select pg_get_wal_replay_pause_state() s'))[0]?.s === 'paused',
        {
          until: `${this.name} pauses its replay`,
          signal,
        },
      )
    })
  }

  /** Undoes {@link pauseReplay}. */
  async resumeReplay(options: VerbOptions = {}): Promise<void> {
    await this.sql('select pg_wal_replay_resume()', options)
  }

  /**
   * Changes settings and reloads them; resolves once new sessions see them. Those that need a restart take effect
   * with the next `start()`, as does everything given to a stopped or frozen server.
   */
  configure(settings: PostgresSettings, options: VerbOptions = {}): Promise<void> {
    return this.#verb(options.signal, async (signal) => {
      for (const [name, value] of Object.entries(settings)) this.#settings.set(name, value)
      await this.#writeSettings()
      if (this.state === 'running') await this.#apply(signal)
    })
  }

  /**
   * The server's log (its last 16 MiB), oldest first, without the lines of this package's own sessions. What a
   * session did is in it as soon as the session has its answer. Statements are there with `logStatements`.
   */
  log(): readonly PostgresLogEntry[] {
    return readPostgresLog(this.#logFile)
  }

  /** Empties the log. */
  clearLog(): void {
    truncateLog(this.#logFile)
  }

  /** Fills the data folder of a node that was never started, or whose folder was removed. @internal */
  async copyFrom(source: Upstream, signal?: AbortSignal): Promise<void> {
    const { account } = this.#context.installation
    this.makeDataFolder()
    using session = await PostgresSession.open(source.port, { signal })
    const [found] = await session.query('show data_directory')
    await copyRunningServer(
      { port: source.port, data: found?.data_directory ?? '' },
      this.#data,
      account,
      signal,
    )
    await this.becomeReplicaOf(source)
  }

  /** @internal */
  makeDataFolder(): void {
    makeFolderFor(this.#context.installation.account, this.#data)
  }

  /** Writes the files that make this server a standby at its next start, or at the next reload. @internal */
  async becomeReplicaOf({ port }: Upstream): Promise<void> {
    this.#settings.set(
      'primary_conninfo',
      `host=127.0.0.1 port=${port} user=postgres application_name=${this.name}`,
    )
    await give(join(this.#data, 'standby.signal'), '', this.#context.installation.account)
    await this.#writeSettings()
    this.#role = 'replica'
  }

  /** Resolves once the running replica receives the changes of its upstream. @internal */
  async streaming(signal?: AbortSignal): Promise<void> {
    const port = /port=(\d+)/.exec(String(this.#settings.get('primary_conninfo')))?.[1]
    using session = await PostgresSession.open(this.#port, { signal })
    const query = `select 1 from pg_stat_wal_receiver where status = 'streaming' and sender_port = ${port}`
    await poll(async () => (await session.query(query)).length > 0, {
      until: `${this.name} streams from its upstream`,
      signal,
    })
  }

  /** Ends the server whatever its state, quickly, and removes its data. @internal */
  async discard(): Promise<void> {
    if (!(await (this.#process?.stop('SIGQUIT', 3_000) ?? true))) await this.#process?.kill()
    // A server that was killed leaves a System V memory segment, named in the pid file it leaves as well.
    const segment = this.#pidFile()[6]?.trim().split(/\s+/)[1]
    if (segment && /^\d+$/.test(segment)) spawnSync('ipcrm', ['-m', segment])
    rmSync(this.#data, { recursive: true, force: true, maxRetries: 3 })
  }

  #verb<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { lifecycle } = this.#context
    return lifecycle.run(() => work(signal ? AbortSignal.any([signal, lifecycle.signal]) : lifecycle.signal))
  }

  #must(state: 'running' | 'frozen'): ServerProcess {
    if (!this.#process || this.state !== state)
      throw this.#wrong(`is ${this.state}, and must be ${state} for this`)
    return this.#process
  }

  #wrong(what: string): TestkitError {
    return new TestkitError('TESTKIT_ERR_STATE', `the server ${this.name} ${what}`)
  }

  async #launch(signal: AbortSignal | undefined): Promise<void> {
    const { installation, folder, lifecycle } = this.#context
    await this.#writeSettings()
    // No process of this server is left, so a pid file is a dead one's; its pid may be somebody else's by now.
    rmSync(join(this.#data, 'postmaster.pid'), { force: true })
    signal?.throwIfAborted()
    lifecycle.assertOpen()
    const server = new ServerProcess({
      program: join(installation.bin, 'postgres'),
      args: ['-D', this.#data],
      cwd: folder,
      account: installation.account,
      log: this.#logFile,
      stopSignal: 'SIGQUIT',
    })
    this.#process = server
    await poll(
      () => {
        if (!server.running) throw this.#didNotStart(server.failure)
        const [pid, , , , , , , status = ''] = this.#pidFile()
        return Number(pid) === server.pid && /^(ready|standby)/.test(status)
      },
      { until: `${this.name} takes connections`, interval: 5, signal },
    )
  }

  #didNotStart(cause: unknown): TestkitError {
    return new TestkitError(
      'TESTKIT_ERR_START_FAILED',
      `the server ${this.name} did not start\n${readTail(this.#logFile, 2_000).trim()}`,
      cause === undefined ? {} : { cause },
    )
  }

  #pidFile(): readonly string[] {
    try {
      return readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')
    } catch {
      return []
    }
  }

  async #writeSettings(): Promise<void> {
    const { account } = this.#context.installation
    this.#generation++
    const settings = {
      ...Object.fromEntries(this.#settings),
      port: this.#port,
      log_line_prefix: LOG_LINE_PREFIX,
      'cays.generation': this.#generation,
    }
    const path = join(this.#data, 'postgresql.conf')
    await give(`${path}.draft`, renderSettings(settings), account)
    renameSync(`${path}.draft`, path)
  }

  async #apply(signal: AbortSignal): Promise<void> {
    this.#must('running').signal('SIGHUP')
    await poll(
      async () => {
        using session = await PostgresSession.open(this.#port, { signal })
        const [row] = await session.query(`select current_setting('cays.generation', true) g`)
        return Number(row?.g) >= this.#generation
      },
      { until: `${this.name} has read its settings`, signal },
    )
  }
}
