import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it, vi } from 'vitest'
import { descendantsOf, readProcess } from '../../src/process-table.ts'
import { startRedis } from '../../src/start-redis.ts'

const fixture = fileURLToPath(new URL('../fixtures/redis-parent.ts', import.meta.url))

const isAlive = (pid: number) => {
  const entry = readProcess(pid)
  return entry !== undefined && entry.state !== 'zombie'
}

it('leaves no server behind when the parent is killed with SIGKILL', async () => {
  const parent = spawn(process.execPath, ['--import', 'tsx', '--conditions=@cays/source', fixture], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string]
  const pids = JSON.parse(line) as number[]
  expect(pids).toHaveLength(1 + 2 + 3 + 3)
  expect(pids.filter(isAlive)).toEqual(pids)
  parent.kill('SIGKILL')
  await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), { timeout: 5_000 })
})

it.each(['standalone', 'sentinel', 'cluster'] as const)(
  'leaves nothing behind after closing: %s',
  async (mode) => {
    const before = new Set(descendantsOf(process.pid).map(({ pid }) => pid))
    const redis = await startRedis({ mode } as { mode: 'cluster' })
    const folder = new Set(folders())
    const started = descendantsOf(process.pid).filter(({ pid }) => !before.has(pid))
    expect(started.length).toBeGreaterThan(0)
    await redis.close()
    await redis.close()
    await vi.waitFor(() => expect(started.filter(({ pid }) => isAlive(pid))).toEqual([]), { timeout: 2_000 })
    expect(folders().filter((name) => folder.has(name) && existsSync(name))).toEqual([])
  },
)

it('starts nothing once it is closing, whatever was under way', async () => {
  const redis = await startRedis()
  const restart = redis.restart().then(
    () => 'restarted',
    (error: { code: string }) => error.code,
  )
  await redis.close()
  expect(['restarted', 'TESTKIT_ERR_CLOSED']).toContain(await restart)
  expect(redis.state).toBe('down')
  await expect(redis.start()).rejects.toMatchObject({ code: 'TESTKIT_ERR_CLOSED' })
})

it('gives up the start with the signal and ends what it had begun', async () => {
  const before = descendantsOf(process.pid).length
  const reason = new Error('changed my mind')
  const controller = new AbortController()
  setTimeout(() => controller.abort(reason), 30)
  await expect(startRedis({ mode: 'sentinel', signal: controller.signal })).rejects.toBe(reason)
  await vi.waitFor(() => expect(descendantsOf(process.pid).length).toBeLessThanOrEqual(before), {
    timeout: 2_000,
  })
})

it('refuses options it does not know, and values that cannot be', async () => {
  const refused = { code: 'TESTKIT_ERR_OPTIONS' }
  // @ts-expect-error: an option of another mode
  await expect(startRedis({ replicas: 1 })).rejects.toMatchObject(refused)
  // @ts-expect-error: no such mode
  await expect(startRedis({ mode: 'clustre' })).rejects.toMatchObject(refused)
  await expect(startRedis({ mode: 'cluster', primaries: 0 })).rejects.toMatchObject(refused)
  await expect(startRedis({ password: 'two\nlines' })).rejects.toMatchObject(refused)
})

it('shows the last lines of the log when Redis does not accept its settings', async () => {
  await expect(startRedis({ config: { 'no-such-setting': 1 } })).rejects.toMatchObject({
    code: 'TESTKIT_ERR_START_FAILED',
    message: expect.stringContaining('no-such-setting'),
  })
})

function folders(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('cays-redis-'))
}
