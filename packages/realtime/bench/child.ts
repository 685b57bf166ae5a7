import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** A program of this folder in a process of its own. */
export function startChild(file: string, args: readonly string[]) {
  const child = fork(join(import.meta.dirname, file), args, { execArgv: ['--import', 'tsx'] })
  const ended = once(child, 'exit')
  const messages: unknown[] = []
  let wake = () => {}
  let running = true
  child.on('message', (message) => {
    messages.push(message)
    wake()
  })
  void ended.then(() => {
    running = false
    wake()
  })
  return {
    send: (message: object) => void child.send(message),
    /** The next message it sends. */
    async told<T>(): Promise<T> {
      while (messages.length === 0) {
        if (!running) throw new Error(`the process of ${file} ended`)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return messages.shift() as T
    },
    /** Without a goodbye. */
    async kill(): Promise<void> {
      child.kill('SIGKILL')
      await ended
    },
    async end(): Promise<void> {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}
