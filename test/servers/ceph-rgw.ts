import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { superviseChild, superviseFolder } from '@cays/testkit'
import { freePorts } from '../../packages/testkit/src/ports.ts'

/** A running Ceph with one monitor, one store in memory and the S3 gateway. */
export interface CephRgw extends AsyncDisposable {
  readonly url: string
  /** Ceph takes any region in a signature, but not `auto` in CreateBucket. */
  readonly region: 'us-east-1'
  readonly accessKeyId: string
  readonly secretAccessKey: string
  close(): Promise<void>
}

const START_TIMEOUT = 30_000
const execute = promisify(execFile)

/**
 * Starts Ceph's S3 gateway, a second opinion on what S3 means that none of us wrote. Data lives in memory and is gone
 * with it. About a second to start, about 300 MiB. Needs `ceph-mon ceph-osd radosgw ceph-common` of the distribution.
 */
export async function startCephRgw(): Promise<CephRgw> {
  const folder = mkdtempSync(join(tmpdir(), 'cays-ceph-'))
  const guard = superviseFolder(folder)
  const daemons: ChildProcess[] = []
  const close = async () => {
    for (const daemon of daemons.splice(0).reverse()) await end(daemon)
    rmSync(folder, { recursive: true, force: true })
    guard[Symbol.dispose]()
  }
  try {
    const [v2 = 0, v1 = 0, port = 0] = await freePorts(3)
    const accessKeyId = randomBytes(10).toString('hex')
    const secretAccessKey = randomBytes(20).toString('hex')
    const fsid = randomUUID()
    for (const name of ['mon', 'osd', 'run', 'rgw']) mkdirSync(join(folder, name))
    const configuration = join(folder, 'ceph.conf')
    writeFileSync(configuration, configure(folder, fsid, { v2, v1, port }))
    const env = { PATH: process.env.PATH ?? '', CEPH_CONF: configuration, LC_ALL: 'C' }
    const run = (program: string, ...args: string[]) =>
      execute(program, args, { env, cwd: folder, timeout: START_TIMEOUT })
    const daemon = (program: string, ...args: string[]) => {
      const log = openSync(join(folder, `${program}.err`), 'a')
      const child = spawn(program, args, { env, cwd: folder, detached: true, stdio: ['ignore', log, log] })
      closeSync(log)
      superviseChild(child, { stopSignal: 'SIGKILL' })
      child.on('error', () => {})
      daemons.push(child)
      return child
    }

    const keyring = join(folder, 'keyring')
    const key = (name: string, ...caps: string[]) =>
      run(
        'ceph-authtool',
        keyring,
        '--gen-key',
        '-n',
        name,
        ...caps.flatMap((cap) => ['--cap', ...split(cap)]),
      )
    await run(
      'ceph-authtool',
      '--create-keyring',
      keyring,
      '--gen-key',
      '-n',
      'mon.',
      '--cap',
      'mon',
      'allow *',
    )
    await key('client.admin', 'mon allow *', 'osd allow *', 'mgr allow *')
    await key('osd.0', 'mon allow profile osd', 'osd allow *')
    await key('client.rgw', 'mon allow rw', 'osd allow rwx')
    const map = join(folder, 'monmap')
    await run(
      'monmaptool',
      '--create',
      '--fsid',
      fsid,
      '--addv',
      'a',
      `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`,
      map,
    )
    await run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', map, '--keyring', keyring)
    daemon('ceph-mon', '-f', '-i', 'a')
    await run('ceph', '--connect-timeout', '20', 'osd', 'new', fsid)
    await run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', fsid)
    daemon('ceph-osd', '-f', '-i', '0')
    const user = [
      '--uid',
      'test',
      '--display-name',
      'test',
      '--access-key',
      accessKeyId,
      '--secret-key',
      secretAccessKey,
    ]
    await run('radosgw-admin', '--name', 'client.rgw', 'user', 'create', ...user)
    const gateway = daemon('radosgw', '-f', '--name', 'client.rgw')
    await listening(port, gateway, join(folder, 'radosgw.err'))
    return {
      url: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      accessKeyId,
      secretAccessKey,
      close,
      [Symbol.asyncDispose]: close,
    }
  } catch (cause) {
    await close()
    throw new Error('Ceph did not start: is "apt-get install ceph-mon ceph-osd radosgw ceph-common" done?', {
      cause,
    })
  }
}

function split(cap: string): [string, string] {
  const space = cap.indexOf(' ')
  return [cap.slice(0, space), cap.slice(space + 1)]
}

async function listening(port: number, gateway: ChildProcess, log: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT
  while (Date.now() < deadline && gateway.exitCode === null && gateway.signalCode === null) {
    const socket = connect(port, '127.0.0.1')
    const connected = await Promise.race([
      once(socket, 'connect').then(
        () => true,
        () => false,
      ),
      sleep(1000, false),
    ])
    socket.destroy()
    if (connected) return
    await sleep(20)
  }
  throw new Error(`the gateway does not listen:\n${readFileSync(log, 'utf8').slice(-2000)}`)
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null || daemon.pid === undefined) return
  // The data is in memory and thrown away: nothing is gained by the two seconds of an orderly end.
  const ended = once(daemon, 'exit')
  daemon.kill('SIGKILL')
  await ended
}

function configure(
  folder: string,
  fsid: string,
  { v2, v1, port }: { readonly v2: number; readonly v1: number; readonly port: number },
): string {
  return `[global]
fsid = ${fsid}
keyring = ${folder}/keyring
mon_host = [v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
# The gateway makes a dozen pools on its first start; at the default pace each of them takes two seconds.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
admin_socket = ${folder}/run/$name.$pid.asok
log_file = ${folder}/$name.log
mon_cluster_log_file = ${folder}/cluster.log
pid_file = ${folder}/run/$name.pid
[mon]
mon_data = ${folder}/mon
[osd]
osd_data = ${folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_memory_target = 939524096
[client.rgw]
rgw_data = ${folder}/rgw
# Without tcp_nodelay every other request costs 40 ms.
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
`
}
