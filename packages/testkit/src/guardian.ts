import { type ChildProcess, spawn } from 'node:child_process'
import { GUARDIAN_SCRIPT } from './guardian-script.ts'
import { readProcess } from './process-table.ts'

/** How a supervised process is ended. */
export interface SuperviseOptions {
  /** What asks the process to end. @default 'SIGTERM' */
  readonly stopSignal?: NodeJS.Signals
  /** Milliseconds from the stop signal to SIGKILL. @default 5_000 */
  readonly killAfter?: number
}

interface Message {
  readonly id: string
  readonly child?: number
  readonly started?: string
  readonly stopSignal?: NodeJS.Signals
  readonly killAfter?: number
  readonly folder?: string
}

/**
 * Ends `child`, and everything it started, when this process dies: by `process.exit`, an uncaught exception, or
 * any signal, SIGKILL included. Call it in the same tick as `spawn`.
 *
 * A separate small process does it, shared by all supervised things and gone once there are none; it keeps this
 * process alive no longer. A child that exits by itself is let go of. Dispose the result to let go earlier.
 */
export function superviseChild(child: ChildProcess, options: SuperviseOptions = {}): Disposable {
  const { pid } = child
  const entry = pid === undefined ? undefined : readProcess(pid)
  if (pid === undefined || !entry) return { [Symbol.dispose]: () => {} }
  const { stopSignal = 'SIGTERM', killAfter = 5_000 } = options
  const release = guardian().take({
    id: `child ${pid} ${entry.started}`,
    child: pid,
    started: entry.started,
    stopSignal,
    killAfter,
  })
  child.once('exit', release)
  return {
    [Symbol.dispose]() {
      child.off('exit', release)
      release()
    },
  }
}

/**
 * Removes the folder, with all it holds, when this process dies, after the supervised processes have ended.
 * Dispose the result when you have removed the folder yourself.
 */
export function superviseFolder(path: string): Disposable {
  const release = guardian().take({ id: `folder ${path}`, folder: path })
  return { [Symbol.dispose]: release }
}

class Guardian {
  readonly #wards = new Map<string, Message>()
  #process: ChildProcess | undefined

  take(message: Message): () => void {
    this.#wards.set(message.id, message)
    if (this.#process) this.#tell(message)
    else this.#start()
    return () => {
      if (this.#wards.get(message.id) !== message) return
      this.#wards.delete(message.id)
      this.#tell({ forget: message.id })
      if (this.#wards.size === 0) this.#stop()
    }
  }

  #tell(message: Message | { readonly forget: string }): void {
    this.#process?.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  #start(): void {
    const startedAt = Date.now()
    // Its own session: Ctrl-C in the terminal must reach the parent alone. Without NODE_OPTIONS, which may
    // hold loaders and debuggers. Its standard output is closed, so that no pipe of ours stays open after us.
    const child = spawn(process.execPath, ['-e', GUARDIAN_SCRIPT], {
      detached: true,
      cwd: '/',
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#process = child
    const gone = () => {
      if (this.#process !== child) return
      this.#process = undefined
      if (this.#wards.size === 0) return
      if (Date.now() - startedAt > 1_000) return this.#start()
      process.emitWarning('the guardian process does not stay up: servers may outlive this process', {
        type: 'CaysGuardianWarning',
      })
    }
    child.once('error', gone)
    child.once('exit', gone)
    child.stdin?.on('error', gone)
    child.unref()
    ;(child.stdin as { unref?: () => void } | null)?.unref?.()
    for (const ward of this.#wards.values()) this.#tell(ward)
  }

  #stop(): void {
    const child = this.#process
    this.#process = undefined
    child?.stdin?.end()
  }
}

const KEY: unique symbol = Symbol.for('cays.testkit.guardian') as never

// One for the whole process, also when it holds several copies of this package.
function guardian(): Guardian {
  const shared = globalThis as { [KEY]?: Guardian }
  shared[KEY] ??= new Guardian()
  return shared[KEY]
}
