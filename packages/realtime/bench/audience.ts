import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** Sockets in one room of a server, in a process of their own. */
export async function gather(dialect: 'cays' | 'socket.io', url: string, sockets: number) {
  const child = fork(join(import.meta.dirname, 'audience-main.ts'), [dialect, url, `${sockets}`], {
    execArgv: ['--import', 'tsx'],
  })
  const ended = once(child, 'exit')
  let tell = () => {}
  let fail = (_error: Error) => {}
  child.on('message', () => tell())
  void ended.then(() => fail(new Error('the process of the sockets ended')))
  const told = () =>
    new Promise<void>((resolve, reject) => {
      tell = resolve
      fail = reject
    })
  await told()
  let expected = 0
  return {
    /** Resolves when so many more messages have reached every socket. */
    async received(messages: number): Promise<void> {
      expected += messages * sockets
      child.send({ expect: expected })
      await told()
    },
    async leave(): Promise<void> {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}
