import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { superviseChild } from '../../src/guardian.ts'
import { descendantsOf, readProcess } from '../../src/process-table.ts'

const fixture = fileURLToPath(new URL('../fixtures/guarded-parent.ts', import.meta.url))

function parent(ending: string): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', '--conditions=@cays/source', fixture, ending], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output')
  for await (const line of createInterface(child.stdout)) return line
  throw new Error('the fixture printed nothing')
}

const isAlive = (pid: number) => {
  const entry = readProcess(pid)
  return entry !== undefined && entry.state !== 'zombie'
}

describe('the guardian', () => {
  it.each([
    ['is killed with SIGKILL', 'wait', 'SIGKILL'],
    ['is stopped with SIGTERM', 'wait', 'SIGTERM'],
    ['is interrupted with SIGINT', 'wait', 'SIGINT'],
    ['calls process.exit', 'exit', undefined],
    ['dies of an uncaught exception', 'throw', undefined],
  ] as const)('ends every ward and removes its folder when the parent %s', async (_, ending, signal) => {
    const child = parent(ending)
    const exited = once(child, 'exit')
    const { wards, released, folder } = JSON.parse(await firstLine(child)) as {
      wards: number[]
      released: number
      folder: string
    }
    expect(wards).toHaveLength(4)
    if (signal) {
      expect(wards.filter(isAlive)).toEqual(wards)
      child.kill(signal)
    }
    await exited
    await vi.waitFor(() => expect(wards.filter(isAlive)).toEqual([]), { timeout: 5_000 })
    await vi.waitFor(() => expect(existsSync(folder)).toBe(false), { timeout: 5_000 })
    expect(isAlive(released)).toBe(true)
    process.kill(released, 'SIGKILL')
  })

  it('is gone once nothing is left under its care', async () => {
    const before = descendantsOf(process.pid).map((entry) => entry.pid)
    const child = spawn('sleep', ['600'])
    superviseChild(child)
    const added = descendantsOf(process.pid).filter((entry) => !before.includes(entry.pid))
    expect(added).toHaveLength(2)
    child.kill('SIGKILL')
    await vi.waitFor(() => expect(added.filter((entry) => isAlive(entry.pid))).toEqual([]))
  })

  it('comes back when somebody kills it, and still knows its wards', async () => {
    const before = descendantsOf(process.pid).map((entry) => entry.pid)
    const child = spawn('sleep', ['600'])
    superviseChild(child)
    const guardians = () =>
      descendantsOf(process.pid).filter((entry) => !before.includes(entry.pid) && entry.pid !== child.pid)
    const [first] = guardians()
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    if (first) process.kill(first.pid, 'SIGKILL')
    await vi.waitFor(() => {
      const [second] = guardians()
      expect(second?.pid).toBeGreaterThan(0)
      expect(second?.pid).not.toBe(first?.pid)
    })
    child.kill('SIGKILL')
    await vi.waitFor(() => expect(guardians().filter((entry) => isAlive(entry.pid))).toEqual([]))
  })
})
