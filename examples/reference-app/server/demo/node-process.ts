import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { freePort } from './free-port.ts'

/** A node that takes longer than this to start or to leave is broken. */
const START_LIMIT = 30_000
const LEAVE_LIMIT = 40_000

/** One app node as a process of its own; it keeps its port from start to start. */
export interface NodeProcess {
  readonly name: string
  readonly port: number
  readonly running: boolean
  start(): Promise<void>
  /** SIGTERM, as a deploy does: the node drains and leaves. */
  stop(): Promise<void>
  /** SIGKILL, as a crash does. */
  kill(): Promise<void>
}

export interface NodeProcessOptions {
  readonly name: string
  readonly port: number
  /** What it runs. */
  readonly program: string
  readonly environment: Readonly<Record<string, string>>
  /** Where the node's log goes, line by line. */
  readonly onLog: (line: string) => void
}

export async function portsFor(count: number): Promise<number[]> {
  return await Promise.all(Array.from({ length: count }, freePort))
}

export function nodeProcess(options: NodeProcessOptions): NodeProcess {
  const { name, port, program, environment, onLog } = options
  let child: ChildProcess | undefined

  const gone = async (process: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    if (process.exitCode !== null || process.signalCode !== null) return
    const exit = once(process, 'exit')
    process.kill(signal)
    const timer = setTimeout(() => process.kill('SIGKILL'), LEAVE_LIMIT)
    await exit
    clearTimeout(timer)
  }

  return {
    name,
    port,
    get running() {
      return child !== undefined && child.exitCode === null && child.signalCode === null
    },
    async start() {
      const started = spawn(process.execPath, [program], {
        // Of the shell's environment only what Node itself needs: a DATABASE_URL there is not meant for the demo.
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          // The lock file pins an SDK that runs here; its notice about later ones would greet every visitor.
          AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
          ...environment,
          NODE_NAME: name,
          PORT: String(port),
        },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      })
      child = started
      const tail: string[] = []
      const collect = (chunk: Buffer) => {
        for (const line of chunk.toString().split('\n')) {
          if (line.length === 0) continue
          tail.push(line)
          if (tail.length > 20) tail.shift()
          onLog(line)
        }
      }
      started.stdout?.on('data', collect)
      started.stderr?.on('data', collect)
      await new Promise<void>((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`${name} ${why}:\n${tail.join('\n')}`))
        const timer = setTimeout(() => fail('did not start in time'), START_LIMIT)
        started.once('message', () => {
          clearTimeout(timer)
          resolve()
        })
        started.once('exit', (code, signal) => {
          clearTimeout(timer)
          fail(`ended while it started (${signal ?? code})`)
        })
        started.once('error', reject)
      })
    },
    async stop() {
      if (child) await gone(child, 'SIGTERM')
    },
    async kill() {
      if (child) await gone(child, 'SIGKILL')
    },
  }
}
