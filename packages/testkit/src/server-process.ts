import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { superviseChild } from './guardian.ts'
import { poll } from './poll.ts'
import { descendantsOf, type ProcessEntry, readProcess } from './process-table.ts'
import { serverEnvironment } from './run-program.ts'
import type { ServerAccount } from './server-account.ts'

export interface ServerCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly account: ServerAccount
  /** The file that both outputs are appended to: a file never makes a server wait, and outlives us. */
  readonly log: string
  /** How the guardian asks it to end when this process dies. */
  readonly stopSignal: NodeJS.Signals
}

/** One run of a server and of all the processes it forks, from spawn to exit. */
export class ServerProcess {
  readonly #child: ChildProcess
  #frozen = false
  #failure: unknown

  constructor(command: ServerCommand) {
    const log = openSync(command.log, 'a')
    try {
      this.#child = spawn(command.program, command.args, {
        ...command.account,
        cwd: command.cwd,
        env: serverEnvironment(),
        stdio: ['ignore', log, log],
        // Its own process group: Ctrl-C in the terminal is for whoever started the server, and then closes it.
        detached: true,
      })
    } finally {
      closeSync(log)
    }
    this.#child.on('error', (error) => {
      if (this.#child.pid === undefined) this.#failure = error
    })
    superviseChild(this.#child, { stopSignal: command.stopSignal, killAfter: 3_000 })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#failure === undefined
  }

  get frozen(): boolean {
    return this.#frozen && this.running
  }

  /** Why it could not be run at all. */
  get failure(): unknown {
    return this.#failure
  }

  /** Signals the server alone. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  freeze(scope: 'all' | 'root'): void {
    this.#frozen = true
    this.#child.kill('SIGSTOP')
    if (scope === 'all') for (const { pid } of this.#family()) sendSignal(pid, 'SIGSTOP')
  }

  thaw(): void {
    this.#frozen = false
    for (const { pid } of this.#family()) sendSignal(pid, 'SIGCONT')
    this.#child.kill('SIGCONT')
  }

  /** Asks with `signal`, frozen or not; resolves with whether it ended in time. */
  async stop(signal: NodeJS.Signals, timeout: number, abort?: AbortSignal): Promise<boolean> {
    if (!this.running) return true
    this.thaw()
    this.#child.kill(signal)
    return await this.#exited(timeout, abort)
  }

  /** Ends the server and all it forked with SIGKILL; resolves when none of them is left. */
  async kill(): Promise<void> {
    if (!this.running) return
    // While its family is listed the server must neither fork nor reap.
    this.#child.kill('SIGSTOP')
    const family = this.#family()
    this.#child.kill('SIGKILL')
    for (const { pid } of family) sendSignal(pid, 'SIGKILL')
    await this.#exited(10_000)
    await poll(() => family.every(isGone), { until: 'all processes of the server are gone', interval: 2 })
  }

  #family(): readonly ProcessEntry[] {
    return this.running && this.#child.pid !== undefined ? descendantsOf(this.#child.pid) : []
  }

  #exited(timeout: number, signal?: AbortSignal): Promise<boolean> {
    if (!this.running) return Promise.resolve(true)
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        this.#child.off('exit', left)
        signal?.removeEventListener('abort', abort)
        settle()
      }
      const left = () => finish(() => resolve(true))
      const abort = () => finish(() => reject(signal?.reason))
      const timer = setTimeout(() => finish(() => resolve(false)), timeout)
      this.#child.once('exit', left)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}

function isGone({ pid, started }: ProcessEntry): boolean {
  const now = readProcess(pid)
  return now === undefined || now.started !== started || now.state === 'zombie'
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
