import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Point } from '@cays/core/tracing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCache, type Loader } from '../../src/index.ts'

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'],
  })
})
afterEach(() => {
  vi.useRealTimers()
})

function counter() {
  let loads = 0
  return {
    load: async () => ++loads,
    get loads() {
      return loads
    },
  }
}

describe('a cache without Redis', () => {
  it('loads once, then serves from memory until the ttl ends', async () => {
    await using cache = createCache({ name: 'test', ttl: '1m', jitter: 0 })
    const source = counter()
    expect(await cache.getOrSet('k', source.load)).toBe(1)
    expect(await cache.getOrSet('k', source.load)).toBe(1)
    expect(cache.peek('k')).toBe(1)
    expect(await cache.get('k')).toBe(1)
    vi.advanceTimersByTime(59_999)
    expect(cache.peek('k')).toBe(1)
    vi.advanceTimersByTime(1)
    expect(cache.peek('k')).toBeUndefined()
    expect(await cache.get('k')).toBeUndefined()
    expect(await cache.getOrSet('k', source.load)).toBe(2)
  })

  it('runs one load for callers that come together', async () => {
    await using cache = createCache({ name: 'test' })
    const source = counter()
    const values = await Promise.all(Array.from({ length: 100 }, () => cache.getOrSet('k', source.load)))
    expect(new Set(values)).toEqual(new Set([1]))
  })

  it('takes up to the jitter off the ttl', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0.5 })
    for (let i = 0; i < 50; i++) await cache.set(`k${i}`, i)
    const left = () =>
      Array.from({ length: 50 }, (_, i) => cache.peek(`k${i}`)).filter((v) => v !== undefined)
    vi.advanceTimersByTime(499)
    expect(left()).toHaveLength(50)
    vi.advanceTimersByTime(251)
    expect(left().length).toBeLessThan(50)
    vi.advanceTimersByTime(250)
    expect(left()).toHaveLength(0)
  })

  it('gives null and undefined a ttl of their own', async () => {
    await using cache = createCache({ name: 'test', ttl: '1m', negativeTtl: '1s', jitter: 0 })
    const load = vi.fn(async () => undefined)
    await cache.getOrSet('k', load)
    await cache.getOrSet('k', load)
    expect(load).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(1000)
    await cache.getOrSet('k', load)
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('lets the loader choose the ttl', async () => {
    await using cache = createCache({ name: 'test', ttl: '1m', jitter: 0 })
    await cache.getOrSet('k', (context) => {
      context.ttl('5m')
      return 1
    })
    vi.advanceTimersByTime(299_999)
    expect(cache.peek('k')).toBe(1)
  })

  it('forgets an invalidated key, and keeps nothing that was loading meanwhile', async () => {
    await using cache = createCache({ name: 'test' })
    let release: (value: string) => void = () => {}
    const slow = cache.getOrSet('k', () => new Promise<string>((resolve) => (release = resolve)))
    await vi.advanceTimersByTimeAsync(0)
    expect(await cache.invalidate('k')).toBe('fleet')
    const after = cache.getOrSet('k', () => 'new')
    expect(await after).toBe('new')
    release('old')
    expect(await slow).toBe('old')
    expect(cache.peek('k')).toBe('new')
  })

  it('keeps a set value over the result of a load that began before it', async () => {
    await using cache = createCache({ name: 'test' })
    let release: (value: string) => void = () => {}
    const slow = cache.getOrSet('k', () => new Promise<string>((resolve) => (release = resolve)))
    await vi.advanceTimersByTimeAsync(0)
    await cache.set('k', 'set')
    release('old')
    await slow
    expect(cache.peek('k')).toBe('set')
  })

  it('invalidates by tag, also what was loading when the tag was invalidated', async () => {
    await using cache = createCache({ name: 'test' })
    await cache.set('a', 1, { tags: ['x', 'y'] })
    await cache.set('b', 2, { tags: ['y'] })
    await cache.set('c', 3)
    expect(await cache.invalidateTags('x')).toBe('fleet')
    expect([cache.peek('a'), cache.peek('b'), cache.peek('c')]).toEqual([undefined, 2, 3])

    let release: (value: string) => void = () => {}
    const slow = cache.getOrSet('d', (context) => {
      context.tag('x')
      return new Promise<string>((resolve) => (release = resolve))
    })
    await vi.advanceTimersByTimeAsync(0)
    await cache.invalidateTags(['x'])
    const late = cache.getOrSet('d', () => 'new')
    release('old')
    expect(await slow).toBe('old')
    expect(await late).toBe('new')
    expect(cache.peek('d')).toBe('new')
  })

  it('clears everything at once', async () => {
    await using cache = createCache({ name: 'test' })
    await cache.set('a', 1)
    await cache.clear()
    expect(cache.peek('a')).toBeUndefined()
  })

  it('serves a stale value at once and loads behind it', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0, staleWhileRevalidate: 500 })
    const source = counter()
    await cache.getOrSet('k', source.load)
    vi.advanceTimersByTime(1200)
    expect(await cache.getOrSet('k', source.load)).toBe(1)
    await vi.waitFor(() => expect(cache.peek('k')).toBe(2))
    vi.advanceTimersByTime(1600)
    expect(await cache.getOrSet('k', source.load)).toBe(3)
  })

  it('loads a value anew before its end, once and behind the back of its readers', async () => {
    const draw = vi.spyOn(Math, 'random').mockReturnValue(1 - Math.exp(-2))
    await using cache = createCache({ name: 'test', ttl: 10_000, jitter: 0, earlyRefresh: 1.5 })
    let release: (value: number) => void = () => {}
    let loads = 0
    const load = () => {
      loads++
      return new Promise<number>((resolve) => (release = resolve))
    }
    const first = cache.getOrSet('k', load)
    await vi.advanceTimersByTimeAsync(1_000)
    release(1)
    expect(await first).toBe(1)
    // It took a second, and the draw makes two of it: 3 s before the end.
    await vi.advanceTimersByTimeAsync(6_900)
    expect(await cache.getOrSet('k', load)).toBe(1)
    await vi.advanceTimersByTimeAsync(0)
    expect(loads).toBe(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(await Promise.all([1, 2, 3].map(() => cache.getOrSet('k', load)))).toEqual([1, 1, 1])
    await vi.advanceTimersByTimeAsync(0)
    expect(loads).toBe(2)
    expect(cache.peek('k')).toBe(1)
    release(2)
    await vi.advanceTimersByTimeAsync(0)
    expect(cache.peek('k')).toBe(2)
    draw.mockRestore()
  })

  it('loads nothing early where that is not asked for, and lets an early load fail in silence', async () => {
    const draw = vi.spyOn(Math, 'random').mockReturnValue(1 - Math.exp(-2))
    await using cache = createCache({ name: 'test', ttl: 10_000, jitter: 0 })
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      return 1
    }
    for (const earlyRefresh of [0, 1]) {
      const first = cache.getOrSet(`k${earlyRefresh}`, slow, { earlyRefresh })
      await vi.advanceTimersByTimeAsync(1_000)
      await first
    }
    await vi.advanceTimersByTimeAsync(8_500)
    const fail = vi.fn(() => Promise.reject(new Error('down')))
    expect(await cache.getOrSet('k0', fail)).toBe(1)
    expect(await cache.getOrSet('k1', fail)).toBe(1)
    await vi.advanceTimersByTimeAsync(0)
    expect(fail).toHaveBeenCalledTimes(1)
    expect(await cache.getOrSet('k1', fail)).toBe(1)
    draw.mockRestore()
  })

  it('serves an expired value within grace when the loader fails, an invalidated one never', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0, grace: '1h', errorBackoff: 0 })
    const fail = () => Promise.reject(new Error('down'))
    await cache.set('k', 'old')
    await cache.expire('k')
    expect(await cache.getOrSet('k', fail)).toBe('old')
    vi.advanceTimersByTime(3_600_000)
    await expect(cache.getOrSet('k', fail)).rejects.toThrow('down')
    await cache.set('k', 'old')
    await cache.invalidate('k')
    await expect(cache.getOrSet('k', fail)).rejects.toThrow('down')
  })

  it('lets the loader choose for how long a value is served when the next load fails', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0, grace: '1h', errorBackoff: 0 })
    const fail = () => Promise.reject(new Error('down'))
    for (const [key, own] of [
      ['short', 500],
      ['long', '2h'],
    ] as const) {
      await cache.getOrSet(key, (context) => {
        context.grace(own)
        return key
      })
    }
    vi.advanceTimersByTime(1_499)
    expect(await cache.getOrSet('short', fail)).toBe('short')
    vi.advanceTimersByTime(1)
    await expect(cache.getOrSet('short', fail)).rejects.toThrow('down')
    vi.advanceTimersByTime(3_600_000)
    expect(await cache.getOrSet('long', fail)).toBe('long')
  })

  it('shows the loader the value it replaces, which may go on, but never one that was invalidated', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0, grace: '1h' })
    const seen: unknown[] = []
    const load: Loader<{ etag: string }> = ({ previous }) => {
      seen.push(previous?.value)
      return (previous?.value as { etag: string } | undefined) ?? { etag: 'a' }
    }
    const first = await cache.getOrSet('k', load)
    vi.advanceTimersByTime(1000)
    expect(await cache.getOrSet('k', load)).toBe(first)
    expect(cache.peek('k')).toBe(first)
    await cache.invalidate('k')
    await cache.getOrSet('k', load)
    expect(seen).toEqual([undefined, { etag: 'a' }, undefined])
  })

  it('serves a value within grace when the loader is slow, and keeps what it brings', async () => {
    await using cache = createCache({ name: 'test', ttl: 1000, jitter: 0, grace: '1h', softTimeout: 100 })
    await cache.set('k', 'old')
    vi.advanceTimersByTime(1000)
    let release: (value: string) => void = () => {}
    const value = cache.getOrSet('k', () => new Promise<string>((resolve) => (release = resolve)))
    await vi.advanceTimersByTimeAsync(100)
    expect(await value).toBe('old')
    release('new')
    await vi.waitFor(() => expect(cache.peek('k')).toBe('new'))
  })

  it('ends a load at its timeout and tells the loader', async () => {
    await using cache = createCache({ name: 'test', timeout: 1000 })
    let reason: unknown
    const value = cache.getOrSet('k', ({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      return new Promise(() => {})
    })
    const rejected = expect(value).rejects.toMatchObject({ code: 'CACHE_ERR_LOAD_TIMEOUT', retryable: true })
    await vi.advanceTimersByTimeAsync(1000)
    await rejected
    expect(reason).toMatchObject({ code: 'CACHE_ERR_LOAD_TIMEOUT' })
  })

  it('gives callers the failure of a load and does not load again before the back-off ends', async () => {
    await using cache = createCache({ name: 'test', errorBackoff: 200 })
    const load = vi.fn(() => Promise.reject(new Error('down')))
    const all = await Promise.allSettled(Array.from({ length: 50 }, () => cache.getOrSet('k', load)))
    expect(all.every((one) => one.status === 'rejected')).toBe(true)
    await expect(cache.getOrSet('k', load)).rejects.toThrow('down')
    expect(load).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(200)
    await expect(cache.getOrSet('k', load)).rejects.toThrow('down')
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('lets one caller leave without stopping the load of the others', async () => {
    await using cache = createCache({ name: 'test' })
    let release: (value: string) => void = () => {}
    const leaving = new AbortController()
    const left = cache.getOrSet('k', () => new Promise<string>((resolve) => (release = resolve)), {
      signal: leaving.signal,
    })
    const stayed = cache.getOrSet('k', () => 'other')
    await vi.advanceTimersByTimeAsync(0)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    release('value')
    expect(await stayed).toBe('value')
    await expect(cache.getOrSet('k', () => 'x', { signal: leaving.signal })).rejects.toThrow('gone')
  })

  it('holds no more items and bytes than it may', async () => {
    await using cache = createCache({ name: 'test', l1: { maxItems: 100, maxBytes: 50_000 } })
    for (let i = 0; i < 1000; i++) await cache.set(`small${i}`, i)
    expect(cache.health().memory.items).toBe(100)
    for (let i = 0; i < 100; i++) await cache.set(`big${i}`, 'x'.repeat(5_000))
    expect(cache.health().memory.bytes).toBeLessThanOrEqual(50_000)
    await cache.set('huge', 'x'.repeat(60_000))
    expect(cache.peek('huge')).toBeUndefined()
  })

  it('refuses calls after close, and closes twice', async () => {
    const cache = createCache({ name: 'test' })
    await cache.set('k', 1)
    await cache.close()
    await cache.close()
    await expect(cache.getOrSet('k', () => 1)).rejects.toMatchObject({ code: 'CACHE_ERR_CLOSED' })
    expect(cache.peek('k')).toBeUndefined()
  })

  it('waits in close for the loads under way', async () => {
    const cache = createCache({ name: 'test' })
    let release: (value: string) => void = () => {}
    const value = cache.getOrSet('k', () => new Promise<string>((resolve) => (release = resolve)))
    await vi.advanceTimersByTimeAsync(0)
    const closed = cache.close()
    release('value')
    expect(await value).toBe('value')
    await closed
  })
})

describe('spaces and memoized functions', () => {
  it('load by id and forget by id', async () => {
    await using cache = createCache({ name: 'test' })
    const load = vi.fn(async (id: number) => ({ id }))
    const users = cache.define({ name: 'user', load })
    expect(await users.get(1)).toEqual({ id: 1 })
    expect(await users.getMany([2, 1, 2])).toEqual([{ id: 2 }, { id: 1 }, { id: 2 }])
    expect(load).toHaveBeenCalledTimes(2)
    await users.invalidate(1)
    expect([users.peek(1), users.peek(2)]).toEqual([undefined, { id: 2 }])
    await users.set(1, { id: 100 })
    expect(await users.get(1)).toEqual({ id: 100 })
  })

  it('clear one space and leave the others', async () => {
    await using cache = createCache({ name: 'test' })
    const users = cache.define({ name: 'user', load: (id: number) => `user ${id}` })
    const jobs = cache.define({
      name: 'job',
      load: (id: number) => `job ${id}`,
      tags: (_, id) => [`job:${id}`],
    })
    await users.get(1)
    await jobs.get(1)
    await users.clear()
    expect([users.peek(1), jobs.peek(1)]).toEqual([undefined, 'job 1'])
    await cache.invalidateTags('job:1')
    expect(jobs.peek(1)).toBeUndefined()
  })

  it('memoize by all arguments', async () => {
    await using cache = createCache({ name: 'test' })
    const fn = vi.fn((a: number | string, b: object) => `${typeof a} ${JSON.stringify(b)}`)
    const memoized = cache.memoize(fn, { name: 'report', ttl: '1h' })
    expect(await memoized(1, { x: 1, y: 2 })).toBe('number {"x":1,"y":2}')
    await memoized(1, { y: 2, x: 1 })
    expect(fn).toHaveBeenCalledTimes(1)
    expect(await memoized('1', {})).toBe('string {}')
    await memoized.invalidate('1', {})
    expect(memoized.peek('1', {})).toBeUndefined()
    await memoized.clear()
    expect(memoized.peek(1, { x: 1, y: 2 })).toBeUndefined()
  })
})

describe('the check of values against their source', () => {
  it('tells what is the same, what changed in time, and what is served though it is wrong', async () => {
    await using cache = createCache({
      name: 'test',
      ttl: '1h',
      jitter: 0,
      sync: { check: 1, maxStaleness: '1s' },
    })
    let source: unknown = { v: 1 }
    let fail = false
    const load = async () => {
      if (fail) throw new Error('down')
      return source
    }
    /** A value of its own, read once it is due to be checked, with something happening within the bound. */
    const check = async (key: string, change: () => unknown, meanwhile: () => unknown = () => {}) => {
      source = { v: 1 }
      await cache.getOrSet(key, load)
      await change()
      await vi.advanceTimersByTimeAsync(3_599_900)
      const value = await cache.getOrSet(key, load)
      await vi.advanceTimersByTimeAsync(0)
      await meanwhile()
      await vi.advanceTimersByTimeAsync(2_000)
      fail = false
      return value
    }
    const draw = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const seen: unknown[] = []
    const listen = (message: unknown) => seen.push((message as Point).attributes['cache.check'])
    subscribe('cays:cache:check', listen)
    try {
      expect(await check('same', () => {})).toEqual({ v: 1 })
      expect(cache.health().checks).toEqual({ same: 1, changed: 0, stale: 0, unknown: 0 })
      const changed = check(
        'changed',
        () => (source = { v: 2 }),
        () => cache.invalidate('changed'),
      )
      expect(await changed).toEqual({ v: 1 })
      expect(cache.health().checks).toEqual({ same: 1, changed: 1, stale: 0, unknown: 0 })
      await check('unknown', () => {
        fail = true
      })
      await cache.getOrSet('stale', load, { ttl: '2h' })
      source = { v: 3 }
      await vi.advanceTimersByTimeAsync(4_000_000)
      expect(await cache.getOrSet('stale', load)).toEqual({ v: 1 })
      await vi.advanceTimersByTimeAsync(2_000)
      expect(cache.health().checks).toEqual({ same: 1, changed: 1, stale: 1, unknown: 1 })
      expect(seen).toEqual(['same', 'changed', 'unknown', 'stale'])
      expect(await cache.getOrSet('stale', load)).toEqual({ v: 1 })
      expect(seen).toHaveLength(4)
    } finally {
      unsubscribe('cays:cache:check', listen)
      draw.mockRestore()
    }
  })
})

describe('a memo', () => {
  it('has one answer per key, for a value, a failure and a caller that leaves', async () => {
    await using cache = createCache({ name: 'test', errorBackoff: 0 })
    const memo = cache.memo()
    const users = cache.define({ name: 'user', load: async (id: number) => ({ id }) })
    const first = await memo.get(users, 1)
    await users.invalidate(1)
    expect(await memo.get(users, 1)).toBe(first)
    expect(await users.get(1)).not.toBe(first)
    memo.forget(users.keyOf(1))
    expect(await memo.get(users, 1)).not.toBe(first)

    const fail = vi.fn(() => Promise.reject(new Error('down')))
    await expect(memo.getOrSet('k', fail)).rejects.toThrow('down')
    await expect(memo.getOrSet('k', () => 1)).rejects.toThrow('down')
    expect(fail).toHaveBeenCalledTimes(1)
    expect(await cache.memo().getOrSet('k', () => 1)).toBe(1)

    const leaving = new AbortController()
    let release: (value: number) => void = () => {}
    const load = () => new Promise<number>((resolve) => (release = resolve))
    const left = memo.getOrSet('slow', load, { signal: leaving.signal })
    const stays = memo.getOrSet('slow', load)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    await vi.advanceTimersByTimeAsync(0)
    release(7)
    expect(await stays).toBe(7)
  })
})

describe('options', () => {
  const bad: readonly object[] = [
    {},
    { name: '' },
    { name: 'a b' },
    { name: 'x', tll: '1m' },
    { name: 'x', ttl: '1 minute' },
    { name: 'x', ttl: -1 },
    { name: 'x', jitter: 2 },
    { name: 'x', l1: { maxItem: 1 } },
    { name: 'x', sync: { onLost: 'panic' } },
    { name: 'x', redis: {} },
  ]
  for (const options of bad) {
    it(`are refused at once: ${JSON.stringify(options)}`, () => {
      expect(() => createCache(options as never)).toThrow(
        expect.objectContaining({ code: 'CACHE_ERR_OPTION', name: 'CacheUsageError' }),
      )
    })
  }

  it('of a call are refused by name, with the nearest one', async () => {
    await using cache = createCache({ name: 'test' })
    await expect(cache.getOrSet('k', () => 1, { tag: ['x'] } as never)).rejects.toThrow('"tags"')
  })
})
