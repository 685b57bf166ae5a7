import { fork } from 'node:child_process'
import { once } from 'node:events'
import { superviseChild } from '@cays/testkit'

const MAIN = new URL('./node-main.ts', import.meta.url)

export interface NodeProcess {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** SIGKILL. */
  kill(): Promise<void>
  /** Drains, closes, exits. */
  drain(over: number): Promise<void>
  /** Closes and exits. */
  close(): Promise<void>
  /** SIGSTOP. */
  freeze(): void
  /** SIGCONT. */
  thaw(): void
}

/** A realtime node in a process of its own. */
export async function startNodeProcess(redisUrl: string, options: object = {}): Promise<NodeProcess> {
  const child = fork(MAIN, [redisUrl, JSON.stringify(options)], {
    execArgv: ['--import', 'tsx', '--conditions=@cays/source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  superviseChild(child)
  const exited = once(child, 'exit')
  const [port] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error('the node process died at start'))),
  ])) as [number]
  return {
    url: `ws://127.0.0.1:${port}/rt`,
    port,
    pid: child.pid ?? 0,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    async drain(over) {
      child.send({ drain: over })
      await exited
    },
    async close() {
      child.send({})
      await exited
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
  }
}
