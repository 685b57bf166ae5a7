import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** A process beside the one that is measured. */
export interface Child<Ready> {
  /** Its first message. */
  readonly ready: Ready
  ask<Answer>(message: object): Promise<Answer>
  stop(): void
}

/** Runs a file of this folder from sources; it says when it is ready, and ends with this process. */
export async function start<Ready>(file: string, ...args: readonly string[]): Promise<Child<Ready>> {
  const child = fork(join(import.meta.dirname, file), args, {
    execArgv: ['--no-warnings', '--import', 'tsx', '--conditions=@cays/source'],
  })
  const next = async () => {
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${file} ended before its answer`)
    })
    const [message] = await Promise.race([once(child, 'message'), ended])
    return message
  }
  return {
    ready: (await next()) as Ready,
    async ask<Answer>(message: object) {
      const answer = next()
      child.send(message)
      return (await answer) as Answer
    },
    stop: () => child.disconnect(),
  }
}
