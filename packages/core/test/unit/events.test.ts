import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { Events } from '../../src/events.ts'

interface Map {
  readonly up: { readonly host: string }
  readonly down: undefined
  readonly [name: string]: unknown
}

describe('Events', () => {
  it('delivers to every listener until its registration is disposed', () => {
    const events = new Events<Map>()
    const heard = vi.fn()
    const first = events.on('up', heard)
    events.on('up', heard)
    events.emit('up', { host: 'a' })
    expect(heard).toHaveBeenCalledTimes(2)
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    events.emit('up', { host: 'b' })
    expect(heard).toHaveBeenCalledTimes(3)
  })

  it('turns a throwing listener into a warning and goes on', async () => {
    const events = new Events<Map>()
    const heard = vi.fn()
    events.on('up', () => {
      throw new Error('listener broke')
    })
    events.on('up', heard)
    const warned = once(process, 'warning')
    events.emit('up', { host: 'a' })
    expect(heard).toHaveBeenCalledOnce()
    expect((await warned)[0]).toMatchObject({
      name: 'CaysListenerError',
      message: expect.stringContaining('listener broke'),
    })
  })

  it('lets a listener unsubscribe while it is being called', () => {
    const events = new Events<Map>()
    const calls: string[] = []
    const first = events.on('up', () => {
      calls.push('first')
      first[Symbol.dispose]()
    })
    events.on('up', () => calls.push('second'))
    events.emit('up', { host: 'a' })
    events.emit('up', { host: 'a' })
    expect(calls).toEqual(['first', 'second', 'second'])
  })

  it('knows whether anybody listens', () => {
    const events = new Events<Map>()
    expect(events.has('down')).toBe(false)
    const registration = events.on('down', () => {})
    expect(events.has('down')).toBe(true)
    registration[Symbol.dispose]()
    expect(events.has('down')).toBe(false)
    events.on('down', () => {})
    events.clear()
    expect(events.has('down')).toBe(false)
  })

  it('refuses what is not a function', () => {
    expect(() => new Events<Map>().on('up', 'x' as never)).toThrow(TypeError)
  })
})
