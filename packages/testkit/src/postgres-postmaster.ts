import { spawnSync } from 'node:child_process'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Lifecycle } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { poll } from './poll.ts'
import { give } from './postgres-backup.ts'
import type { PostgresInstallation } from './postgres-installation.ts'
import { LOG_LINE_PREFIX, readTail } from './postgres-log.ts'
import { PostgresSession } from './postgres-session.ts'
import { type PostgresSettings, renderSettings } from './postgres-settings.ts'
import { makeFolderFor } from './server-account.ts'
import { ServerProcess } from './server-process.ts'

export interface PostmasterContext {
  readonly name: string
  /** A folder of its own, which belongs to the server's account. */
  readonly folder: string
  readonly installation: PostgresInstallation
  readonly lifecycle: Lifecycle
  readonly settings: PostgresSettings
}

const ADDRESS_TAKEN = /Address already in use/

/** A data folder, its settings, and the process that serves it, if one runs. */
export class Postmaster {
  readonly data: string
  readonly log: string
  port = 0
  readonly #context: PostmasterContext
  #settings: PostgresSettings
  // Grows with every change of settings, and is one of them: a session that shows it has read the others.
  #generation = 0
  #process: ServerProcess | undefined

  constructor(context: PostmasterContext) {
    this.#context = context
    this.#settings = context.settings
    this.data = join(context.folder, 'data')
    this.log = join(context.folder, 'log')
  }

  get settings(): PostgresSettings {
    return this.#settings
  }

  /** The process, unless it has ended. */
  get process(): ServerProcess | undefined {
    return this.#process?.running ? this.#process : undefined
  }

  makeDataFolder(): void {
    makeFolderFor(this.#context.installation.account, this.data)
  }

  /** Starts the process and resolves once it takes connections. */
  async start(port: number, signal: AbortSignal): Promise<void> {
    const { installation, folder, lifecycle, name } = this.#context
    this.port = port
    await this.configure({})
    // No process of this server is left, so a pid file is a dead one's; its pid may be somebody else's by now.
    rmSync(join(this.data, 'postmaster.pid'), { force: true })
    signal.throwIfAborted()
    lifecycle.assertOpen()
    const server = new ServerProcess({
      program: join(installation.bin, 'postgres'),
      args: ['-D', this.data],
      cwd: folder,
      account: installation.account,
      log: this.log,
      stopSignal: 'SIGQUIT',
    })
    this.#process = server
    await poll(
      () => {
        if (!server.running) throw this.#didNotStart(server.failure)
        const [pid, , , , , , , status = ''] = this.#pidFile()
        return Number(pid) === server.pid && /^(ready|standby)/.test(status)
      },
      { until: `${name} takes connections`, interval: 5, signal },
    )
  }

  /** Whether the last start failed because somebody else was faster to bind the port. */
  get portWasTaken(): boolean {
    return ADDRESS_TAKEN.test(readTail(this.log, 4_000))
  }

  /** Changes settings in the file, for the next start or the next {@link reload}. */
  async configure(settings: PostgresSettings): Promise<void> {
    this.#settings = { ...this.#settings, ...settings }
    this.#generation++
    const path = join(this.data, 'postgresql.conf')
    const text = renderSettings({
      ...this.#settings,
      port: this.port,
      log_line_prefix: LOG_LINE_PREFIX,
      'cays.generation': this.#generation,
    })
    await give(`${path}.draft`, text, this.#context.installation.account)
    renameSync(`${path}.draft`, path)
  }

  /** Makes the running server read its settings, and resolves once new sessions see them. */
  async reload(signal: AbortSignal): Promise<void> {
    const wanted = this.#generation
    this.process?.signal('SIGHUP')
    await poll(
      async () => {
        using session = await PostgresSession.open(this.port, { signal })
        const [row] = await session.query(`select current_setting('cays.generation', true) g`)
        return Number(row?.g) >= wanted
      },
      { until: `${this.#context.name} has read its settings`, signal },
    )
  }

  /** Stops the process in good order, or, when that takes too long, as a crash would. */
  async stop(stopSignal: NodeJS.Signals, timeout: number, signal?: AbortSignal): Promise<void> {
    const { process } = this
    if (!process || (await process.stop(stopSignal, timeout, signal))) return
    if (!(await process.stop('SIGQUIT', 3_000, signal))) await this.kill()
  }

  /** Ends the process and all that it forked with SIGKILL. */
  async kill(): Promise<void> {
    await this.process?.kill()
    this.#removeSegment()
  }

  /** Ends the process whatever its state, quickly, and removes all data. */
  async discard(): Promise<void> {
    await this.stop('SIGQUIT', 2_000)
    this.#removeSegment()
    rmSync(this.data, { recursive: true, force: true, maxRetries: 3 })
  }

  // A server that was killed leaves a System V memory segment, named in the pid file that it leaves as well.
  #removeSegment(): void {
    const segment = this.process ? undefined : this.#pidFile()[6]?.trim().split(/\s+/)[1]
    if (!segment || !/^\d+$/.test(segment)) return
    spawnSync('ipcrm', ['-m', segment])
    rmSync(join(this.data, 'postmaster.pid'), { force: true })
  }

  #pidFile(): readonly string[] {
    try {
      return readFileSync(join(this.data, 'postmaster.pid'), 'utf8').split('\n')
    } catch {
      return []
    }
  }

  #didNotStart(cause: unknown): TestkitError {
    const last = readTail(this.log, 2_000).trim()
    return new TestkitError(
      'TESTKIT_ERR_START_FAILED',
      `the server ${this.#context.name} did not start\n${last}`,
      {
        ...(cause === undefined ? {} : { cause }),
      },
    )
  }
}
