import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Lifecycle } from '../../src/lifecycle.ts'

const closed = () => new Error('it is closed')

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('Lifecycle', () => {
  it('waits for work under way, then releases in reverse order', async () => {
    const life = new Lifecycle({ closed })
    const order: string[] = []
    life.onClose(() => order.push('first opened'))
    life.onClose(() => order.push('last opened'))
    let finish: () => void = () => {}
    const work = life.run(() =>
      new Promise<void>((resolve) => (finish = resolve)).then(() => void order.push('work')),
    )
    const closing = life.close()
    expect(life.state).toBe('closing')
    await vi.advanceTimersByTimeAsync(9_000)
    expect(order).toEqual([])
    finish()
    await Promise.all([work, closing])
    expect(order).toEqual(['work', 'last opened', 'first opened'])
    expect(life.state).toBe('closed')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('refuses new work once closing', async () => {
    const life = new Lifecycle({ closed })
    const closing = life.close()
    expect(() => life.enter()).toThrow('it is closed')
    await expect(life.run(async () => 1)).rejects.toThrow('it is closed')
    expect(() => life.onClose(() => {})).toThrow('it is closed')
    await closing
  })

  it('gives up waiting after the drain time', async () => {
    const life = new Lifecycle({ closed, drain: 100 })
    life.enter()
    const closing = life.close()
    await vi.advanceTimersByTimeAsync(100)
    await closing
    expect(life.signal.aborted).toBe(true)
  })

  it('closes once however often and however it is asked', async () => {
    const life = new Lifecycle({ closed })
    const release = vi.fn()
    life.onClose(release)
    await Promise.all([life.close(), life.close(), life[Symbol.asyncDispose]()])
    await life.close()
    expect(release).toHaveBeenCalledOnce()
  })

  it('releases everything even when a release fails, and then reports it', async () => {
    const life = new Lifecycle({ closed })
    const release = vi.fn()
    life.onClose(release)
    life.onClose(async () => {
      throw new Error('will not close')
    })
    await expect(life.close()).rejects.toThrow('will not close')
    expect(release).toHaveBeenCalledOnce()
    expect(life.state).toBe('closed')
  })

  it('reports all failures when there are several', async () => {
    const life = new Lifecycle({ closed })
    for (const name of ['a', 'b']) {
      life.onClose(() => {
        throw new Error(name)
      })
    }
    await expect(life.close()).rejects.toMatchObject({ errors: [{ message: 'b' }, { message: 'a' }] })
  })

  it('counts a unit of work once, however often it is left', async () => {
    const life = new Lifecycle({ closed })
    const leave = life.enter()
    life.enter()
    leave()
    leave()
    expect(life.pending).toBe(1)
  })

  it('counts work that throws as finished', async () => {
    const life = new Lifecycle({ closed })
    await expect(life.run(() => Promise.reject(new Error('x')))).rejects.toThrow('x')
    expect(life.pending).toBe(0)
  })
})
