import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TimeLimit } from '../../src/time-limit.ts'

const never = new Promise<never>(() => {})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function limitOf(milliseconds: number) {
  return new TimeLimit(milliseconds, () => new Error('late'))
}

describe('TimeLimit', () => {
  it('settles as the work does', async () => {
    const limit = limitOf(100)
    await expect(limit.race(Promise.resolve(1))).resolves.toBe(1)
    await expect(limit.race(Promise.reject(new Error('x')))).rejects.toThrow('x')
  })

  it('gives each piece of work its own full time', async () => {
    const limit = limitOf(100)
    const ended: string[] = []
    const begin = (name: string) => limit.race(never).catch(() => ended.push(name))
    void begin('first')
    await vi.advanceTimersByTimeAsync(60)
    void begin('second')
    await vi.advanceTimersByTimeAsync(39)
    expect(ended).toEqual([])
    await vi.advanceTimersByTimeAsync(10)
    expect(ended).toEqual(['first'])
    await vi.advanceTimersByTimeAsync(50)
    expect(ended).toEqual(['first'])
    await vi.advanceTimersByTimeAsync(10)
    expect(ended).toEqual(['first', 'second'])
  })

  it('has one timer for all work, and none once nothing is under way', async () => {
    const limit = limitOf(100)
    const work = Array.from({ length: 1_000 }, () => limit.race(Promise.resolve()))
    expect(vi.getTimerCount()).toBe(1)
    await Promise.all(work)
    await vi.advanceTimersByTimeAsync(110)
    expect(vi.getTimerCount()).toBe(0)
    const late = expect(limit.race(never)).rejects.toThrow('late')
    await vi.advanceTimersByTimeAsync(110)
    await late
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keeps the process alive while work is under way, and no longer', async () => {
    vi.useRealTimers()
    const alive = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = alive()
    const limit = limitOf(60_000)
    let end = () => {}
    const work = limit.race(
      new Promise<void>((resolve) => {
        end = resolve
      }),
    )
    expect(alive()).toBe(before + 1)
    end()
    await work
    expect(alive()).toBe(before)
    const again = limit.race(Promise.resolve())
    expect(alive()).toBe(before + 1)
    await again
    expect(alive()).toBe(before)
  })

  it('takes a result that waited behind a busy event loop', async () => {
    vi.useRealTimers()
    const limit = limitOf(5)
    const work = limit.race(new Promise((resolve) => setTimeout(() => setImmediate(resolve), 6)))
    const until = performance.now() + 30
    while (performance.now() < until);
    await expect(work).resolves.toBeUndefined()
  })

  it('swallows the failure of work that was given up', async () => {
    vi.useRealTimers()
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    let fail = (_: Error) => {}
    const work = new Promise<never>((_, reject) => {
      fail = reject
    })
    await expect(limitOf(1).race(work)).rejects.toThrow('late')
    fail(new Error('later'))
    await new Promise(setImmediate)
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})
