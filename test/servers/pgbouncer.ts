import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { superviseChild, superviseFolder } from '@cays/testkit'
import { freePort } from '../../packages/testkit/src/ports.ts'
import { unprivilegedAccount } from '../../packages/testkit/src/server-account.ts'

/** A running PgBouncer in transaction mode, before one server. */
export interface PgBouncer extends AsyncDisposable {
  readonly url: string
  close(): Promise<void>
}

const PROGRAM = 'pgbouncer'
const START_TIMEOUT = 30_000

/** Starts a pooler that gives one of five server connections to each transaction. Needs `pgbouncer` of the distribution. */
export async function startPgBouncer(target: string): Promise<PgBouncer> {
  const { hostname, port: behind, pathname, username } = new URL(target)
  const folder = mkdtempSync(join(tmpdir(), 'cays-pgbouncer-'))
  const guard = superviseFolder(folder)
  const port = await freePort()
  const configuration = join(folder, 'pgbouncer.ini')
  writeFileSync(
    configuration,
    `[databases]
* = host=${hostname} port=${behind} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
ignore_startup_parameters = extra_float_digits
`,
  )
  chmodSync(folder, 0o755)
  const child = spawn(PROGRAM, ['-q', configuration], {
    ...unprivilegedAccount(),
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` },
    cwd: '/',
    stdio: 'ignore',
  })
  superviseChild(child, { stopSignal: 'SIGINT' })
  child.on('error', () => {})
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
    guard[Symbol.dispose]()
  }
  const deadline = Date.now() + START_TIMEOUT
  while (Date.now() < deadline && child.exitCode === null && child.pid !== undefined) {
    const socket = connect(port, '127.0.0.1')
    const listening = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (listening) {
      const url = `postgres://${username}@127.0.0.1:${port}${pathname}`
      return { url, close, [Symbol.asyncDispose]: close }
    }
    await sleep(20)
  }
  await close()
  throw new Error('PgBouncer did not start: is "apt-get install pgbouncer" done?')
}
