import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deadline, delay, raceAbort, raceDeadline } from '../../src/abort.ts'

const never = new Promise<never>(() => {})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('raceAbort', () => {
  it('settles as the promise does and leaves no listener behind', async () => {
    const { signal } = new AbortController()
    await expect(raceAbort(Promise.resolve(1), signal)).resolves.toBe(1)
    await expect(raceAbort(Promise.reject(new Error('x')), signal)).rejects.toThrow('x')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('rejects with the reason itself, before or during the wait', async () => {
    const reason = { my: 'reason' }
    await expect(raceAbort(never, AbortSignal.abort(reason))).rejects.toBe(reason)
    const controller = new AbortController()
    const race = raceAbort(never, controller.signal)
    controller.abort(reason)
    await expect(race).rejects.toBe(reason)
  })

  it('swallows the later failure of work nobody waits for', async () => {
    vi.useRealTimers()
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const late = Promise.reject(new Error('late'))
    await expect(raceAbort(late, AbortSignal.abort('now'))).rejects.toBe('now')
    await new Promise(setImmediate)
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})

describe('delay', () => {
  it('resolves when the time is over', async () => {
    const done = vi.fn()
    const wait = delay(1_000).then(done)
    await vi.advanceTimersByTimeAsync(999)
    expect(done).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    await wait
    expect(done).toHaveBeenCalledOnce()
  })

  it('rejects with the reason and clears its timer', async () => {
    const controller = new AbortController()
    const wait = delay(1_000, { signal: controller.signal })
    controller.abort('stop')
    await expect(wait).rejects.toBe('stop')
    expect(vi.getTimerCount()).toBe(0)
    await expect(delay(1, { signal: AbortSignal.abort('early') })).rejects.toBe('early')
  })

  it('does not fire at once when asked for more than a timer can hold', async () => {
    const done = vi.fn()
    const controller = new AbortController()
    const wait = delay(2 ** 40, { signal: controller.signal }).then(done, () => {})
    await vi.advanceTimersByTimeAsync(10_000)
    expect(done).not.toHaveBeenCalled()
    controller.abort()
    await wait
  })
})

describe('deadline', () => {
  it('aborts with what expire() builds, and says that it was the time', async () => {
    using limit = deadline(50, () => 'too late')
    await vi.advanceTimersByTimeAsync(50)
    expect(limit).toMatchObject({ expired: true, signal: { aborted: true, reason: 'too late' } })
  })

  it('follows the outer signal and lets go of it', () => {
    const outer = new AbortController()
    {
      using limit = deadline(50, () => 'late', outer.signal)
      expect(limit.signal.aborted).toBe(false)
    }
    expect(getEventListeners(outer.signal, 'abort')).toHaveLength(0)
    expect(vi.getTimerCount()).toBe(0)
    outer.abort('user')
    using after = deadline(50, () => 'late', outer.signal)
    expect(after).toMatchObject({ expired: false, signal: { reason: 'user' } })
  })
})

describe('raceDeadline', () => {
  it('detaches the caller when the time is over', async () => {
    const race = raceDeadline(never, 100, () => new Error('timed out'))
    const outcome = expect(race).rejects.toThrow('timed out')
    await vi.advanceTimersByTimeAsync(100)
    await outcome
  })

  it('leaves no timer when the work was faster', async () => {
    await expect(raceDeadline(Promise.resolve('ok'), 100, () => new Error('x'))).resolves.toBe('ok')
    expect(vi.getTimerCount()).toBe(0)
  })
})
