import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Order, Report } from './worker.ts'

export interface Worker extends AsyncDisposable {
  readonly process: ChildProcess
  ask(order: Order): Promise<Report>
}

/** Starts `count` processes, each with a cache of this name on this Redis, and waits until all are ready. */
export async function startWorkers(count: number, url: string, name: string): Promise<readonly Worker[]> {
  const file = fileURLToPath(new URL('worker.ts', import.meta.url))
  return await Promise.all(
    Array.from({ length: count }, async (): Promise<Worker> => {
      const child = fork(file, [url, name], {
        execArgv: ['--import', 'tsx', '--conditions=@cays/source'],
      })
      const [ready] = await once(child, 'message')
      if (ready !== 'ready') throw new Error('the worker did not start')
      return {
        process: child,
        ask: async (order) => {
          child.send(order)
          const [report] = await Promise.race([
            once(child, 'message'),
            once(child, 'exit').then((): [Report] => [
              { values: [], errors: ['died'], loads: 0, slowest: 0 },
            ]),
          ])
          return report as Report
        },
        [Symbol.asyncDispose]: async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          child.kill('SIGKILL')
          await once(child, 'exit')
        },
      }
    }),
  )
}
