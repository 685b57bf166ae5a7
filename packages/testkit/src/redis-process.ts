import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { delay, raceDeadline } from '@cays/core/abort'
import type { Lifecycle } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { superviseChild } from './guardian.ts'
import { readProcess } from './process-table.ts'
import { type RedisTarget, redisCommand } from './redis-command.ts'
import { waitUntil } from './redis-wait.ts'

const START_TIMEOUT = 15_000
const STOP_TIMEOUT = 10_000
const PORT_PATIENCE = 3_000
const INSIST_EVERY = 250

export interface RedisProcessOptions {
  /** Path of the executable. */
  readonly program: string
  /** Made if it does not exist: data, configuration and log. */
  readonly folder: string
  readonly target: RedisTarget
  readonly sentinel?: boolean
  /** Of the set-up: nothing starts once it closes. */
  readonly lifecycle: Lifecycle
  /** Writes `redis.conf` into the folder; called before each start. */
  readonly configure: () => Promise<void>
}

/** Thrown when another process listens on the port: take another port. */
export class PortTaken extends Error {}

/** One `redis-server`, as a process: starts and ends it, stops and continues it, and knows whether it serves. */
export class RedisProcess {
  readonly #options: RedisProcessOptions
  #child: ChildProcess | undefined
  #starting: Promise<void> | undefined
  #frozen = false

  constructor(options: RedisProcessOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get state(): 'running' | 'frozen' | 'down' {
    if (!this.#child) return 'down'
    return this.#frozen ? 'frozen' : 'running'
  }

  /** The first start: throws {@link PortTaken} at once when somebody was faster, and gives up with the signal. */
  launch(signal: AbortSignal | undefined): Promise<void> {
    return this.#once(() => this.#launch(signal))
  }

  start(): Promise<void> {
    return this.#once(async () => {
      // The fork of a killed server may hold its lock, and somebody its port, for a moment.
      const end = performance.now() + PORT_PATIENCE
      for (;;) {
        try {
          return await this.#launch(undefined)
        } catch (error) {
          if (!(error instanceof PortTaken)) throw error
          if (performance.now() > end) throw taken(this.#options.target)
        }
        await delay(100)
      }
    })
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGCONT')
    await this.#end('SIGTERM')
  }

  async freeze(): Promise<void> {
    this.#mustRun().kill('SIGSTOP')
    this.#frozen = true
    await this.#awaitStopped(true)
  }

  async thaw(): Promise<void> {
    this.#mustRun().kill('SIGCONT')
    this.#frozen = false
    await this.#awaitStopped(false)
  }

  async #once(start: () => Promise<void>): Promise<void> {
    if (!this.#starting && this.#child) {
      throw new TestkitError('TESTKIT_ERR_STATE', 'this Redis server runs already')
    }
    this.#starting ??= this.#options.lifecycle.run(start).finally(() => {
      this.#starting = undefined
    })
    await this.#starting
  }

  async #launch(signal: AbortSignal | undefined): Promise<void> {
    const { folder } = this.#options
    await mkdir(folder, { recursive: true })
    await this.#options.configure()
    signal?.throwIfAborted()
    const child = this.#spawn(join(folder, 'server.log'))
    try {
      await waitUntil('a Redis server serves', () => this.#serves(child), {
        timeout: START_TIMEOUT,
        every: 6,
        signal,
      })
    } catch (error) {
      await this.kill()
      throw error
    }
    if (this.#child !== child) throw await this.#diagnosis()
  }

  #spawn(logFile: string): ChildProcess {
    const { folder, program, sentinel } = this.#options
    const log = openSync(logFile, 'w')
    const child = spawn(program, [join(folder, 'redis.conf'), ...(sentinel ? ['--sentinel'] : [])], {
      cwd: folder,
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      stdio: ['ignore', log, log],
    })
    superviseChild(child, { stopSignal: 'SIGKILL' })
    closeSync(log)
    const gone = () => {
      if (this.#child === child) this.#child = undefined
    }
    child.once('exit', gone)
    child.once('error', gone)
    // A script that is done may end without closing: the guardian sees to the server.
    child.unref()
    this.#child = child
    this.#frozen = false
    return child
  }

  // Another server may answer on the port while ours is about to fail on it: only the pid tells. True also when
  // there is nothing left to wait for.
  async #serves(child: ChildProcess): Promise<boolean> {
    if (this.#child !== child) return true
    const info = String(await redisCommand(this.#options.target, ['INFO'], { timeout: 1_000 }))
    return info.includes(`\nprocess_id:${child.pid}\r`) && !info.includes('\nloading:1\r')
  }

  async #diagnosis(): Promise<Error> {
    const { folder, program, target } = this.#options
    const log = await readFile(join(folder, 'server.log'), 'utf8')
    if (/Address already in use|already used by a different/.test(log)) return new PortTaken()
    const reason = / version=[0-6]\./.test(log)
      ? 'Redis 7 or later is needed'
      : log.trim().split('\n').slice(-5).join(' | ') || 'it could not be executed'
    return new TestkitError(
      'TESTKIT_ERR_START_FAILED',
      `${program} ended at once on port ${target.port}: ${reason}`,
    )
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child) return
    // See #spawn: while somebody waits for its end, the handle has to keep this process up.
    child.ref()
    const exit = once(child, 'exit')
    child.kill(signal)
    // A replica that writes its first append-only file after a sync refuses to end, and does not try again.
    const insist = setInterval(() => child.kill(signal), INSIST_EVERY)
    try {
      await raceDeadline(exit, STOP_TIMEOUT, () => new Error('still there'))
    } catch {
      child.kill('SIGKILL')
      await exit
    } finally {
      clearInterval(insist)
    }
  }

  async #awaitStopped(stopped: boolean): Promise<void> {
    const pid = this.#mustRun().pid ?? 0
    await waitUntil(
      stopped ? 'the server is stopped' : 'the server goes on',
      async () => (readProcess(pid)?.state === 'stopped') === stopped,
      { timeout: 2_000, every: 1 },
    )
  }

  #mustRun(): ChildProcess {
    if (this.#child) return this.#child
    throw new TestkitError('TESTKIT_ERR_STATE', 'this Redis server is down: start it first')
  }
}

function taken({ port }: RedisTarget): TestkitError {
  return new TestkitError(
    'TESTKIT_ERR_START_FAILED',
    `port ${port} was taken by another process while the server was down`,
  )
}
