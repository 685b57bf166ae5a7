import { startChild } from './child.ts'
import type { Dialect } from './serve.ts'

/** How long messages took, in milliseconds; of those that say when they were `sent`. */
export interface Delays {
  readonly p50: number
  readonly p95: number
}

/** Sockets in one room of a server, in a process of their own. */
export async function gather(dialect: Dialect, url: string, sockets: number) {
  const child = startChild('audience-main.ts', [dialect, url, `${sockets}`])
  await child.told()
  let expected = 0
  return {
    /** Resolves when so many more messages have reached every socket. */
    async received(messages: number): Promise<Delays> {
      expected += messages * sockets
      child.send({ expect: expected })
      return await child.told<Delays>()
    },
    leave: () => child.end(),
  }
}
