import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { delay, raceDeadline } from '@cays/core/abort'
import { TestkitError } from './errors.ts'
import { superviseChild } from './guardian.ts'
import { readProcess } from './process-table.ts'
import { type RedisTarget, redisCommand } from './redis-command.ts'
import { waitUntil } from './redis-wait.ts'

const START_TIMEOUT = 15_000
const STOP_TIMEOUT = 10_000

export interface RedisProcessOptions {
  /** Path of the executable. */
  readonly program: string
  /** Made if it does not exist: data, configuration and log. */
  readonly folder: string
  readonly target: RedisTarget
  readonly sentinel?: boolean
  /** Writes what the process reads at its start; called before each. */
  readonly prepare: (folder: string) => Promise<void>
}

/** Thrown when another process listens on the port: take another port. */
export class PortTaken extends Error {}

/** One `redis-server`, as a process: starts and ends it, stops and continues it, and knows whether it serves. */
export class RedisProcess {
  readonly #options: RedisProcessOptions
  #child: ChildProcess | undefined
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

  async start(signal?: AbortSignal): Promise<void> {
    if (this.#child) return
    // The fork of a killed server may hold its lock, and its port may linger, for a moment.
    const patience = performance.now() + 3_000
    for (;;) {
      try {
        return await this.#launch(signal)
      } catch (error) {
        if (!(error instanceof PortTaken) || performance.now() > patience) throw error
        await delay(100, { signal })
      }
    }
  }

  /** One attempt; throws {@link PortTaken} at once when the port is not free. */
  async launch(signal?: AbortSignal): Promise<void> {
    if (!this.#child) await this.#launch(signal)
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGCONT')
    await this.#end('SIGTERM')
  }

  async freeze(): Promise<void> {
    const child = this.#mustRun()
    child.kill('SIGSTOP')
    this.#frozen = true
    await this.#awaitStopped(true)
  }

  async thaw(): Promise<void> {
    const child = this.#mustRun()
    child.kill('SIGCONT')
    this.#frozen = false
    await this.#awaitStopped(false)
  }

  async #launch(signal?: AbortSignal): Promise<void> {
    const { folder, program, sentinel, prepare, target } = this.#options
    await mkdir(folder, { recursive: true })
    await prepare(folder)
    signal?.throwIfAborted()
    const log = openSync(join(folder, 'server.log'), 'w')
    const child = spawn(program, [join(folder, 'redis.conf'), ...(sentinel ? ['--sentinel'] : [])], {
      cwd: folder,
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      stdio: ['ignore', log, log],
    })
    superviseChild(child, { stopSignal: 'SIGKILL' })
    closeSync(log)
    const failed = new Promise<Error>((resolve) => child.once('error', resolve))
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    child.unref()
    this.#child = child
    this.#frozen = false
    try {
      await waitUntil('a Redis server serves', () => this.#serves(child), {
        timeout: START_TIMEOUT,
        signal,
        every: 6,
      })
    } catch (error) {
      await this.kill()
      throw error
    }
    if (this.#child === child) return
    const lines = await readFile(join(folder, 'server.log'), 'utf8')
    if (/Address already in use|already used by a different/.test(lines)) throw new PortTaken()
    throw new TestkitError(
      'TESTKIT_ERR_START_FAILED',
      `the Redis server on port ${target.port} ended at once: ${lines.trim().split('\n').slice(-5).join(' | ')}`,
      { cause: child.pid === undefined ? await failed : undefined },
    )
  }

  // Another server may answer on the port while ours is about to fail on it: only the pid tells.
  async #serves(child: ChildProcess): Promise<boolean> {
    if (child.pid === undefined || this.#child !== child) {
      this.#child = undefined
      return true
    }
    const info = String(await redisCommand(this.#options.target, ['INFO'], { timeout: 1_000 }))
    return info.includes(`\nprocess_id:${child.pid}\r`) && !/\nloading:1\r/.test(info)
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child) return
    // The handle is unreferenced, so that a finished script can end; waiting for it has to keep the process up.
    child.ref()
    const exit = once(child, 'exit')
    child.kill(signal)
    try {
      await raceDeadline(exit, STOP_TIMEOUT, () => new Error('still there'))
    } catch {
      child.kill('SIGKILL')
      await exit
    }
    if (this.#child === child) this.#child = undefined
  }

  async #awaitStopped(stopped: boolean): Promise<void> {
    const { pid } = this.#mustRun()
    await waitUntil(
      stopped ? 'the server is stopped' : 'the server goes on',
      async () => pid === undefined || (readProcess(pid)?.state === 'stopped') === stopped,
      { timeout: 2_000, every: 1 },
    )
  }

  #mustRun(): ChildProcess {
    if (this.#child) return this.#child
    throw new TestkitError('TESTKIT_ERR_STATE', 'this Redis server is down: start it first')
  }
}
