import { describe, expect, it } from 'vitest'
import { type Cache, createCache } from '../../src/index.ts'

async function start(): Promise<Cache> {
  const cache = createCache({ name: 'test' })
  await Promise.all([cache.set('a', 1), cache.set('b', 2), cache.set('c', 3, { tags: ['t'] })])
  return cache
}

const held = (cache: Cache) => ['a', 'b', 'c'].map((key) => cache.peek(key))

describe('a transaction of the cache', () => {
  it('carries out what was invalidated in it once it has succeeded', async () => {
    await using cache = await start()
    const events: string[] = []
    cache.on('invalidated', ({ kind }) => void events.push(kind))
    const result = await cache.transaction(async () => {
      expect(await cache.invalidate('a')).toBe('deferred')
      await Promise.resolve()
      expect(await cache.invalidateTags('t')).toBe('deferred')
      expect(held(cache)).toEqual([1, 2, 3])
      expect(events).toEqual([])
      return 'done'
    })
    expect(result).toBe('done')
    expect(held(cache)).toEqual([undefined, 2, undefined])
    expect(events.sort()).toEqual(['invalidate', 'tags'])
    expect(await cache.invalidate('b')).toBe('fleet')
  })

  it('drops it when it failed', async () => {
    await using cache = await start()
    const failing = cache.transaction(async () => {
      await Promise.all([cache.invalidate('a'), cache.clear(), cache.set('b', 'new')])
      throw new Error('rolled back')
    })
    await expect(failing).rejects.toThrow('rolled back')
    await expect(cache.transaction(() => Promise.reject(new Error('at once')))).rejects.toThrow('at once')
    expect(held(cache)).toEqual([1, 2, 3])
  })

  it('carries it out when nobody knows whether the commit happened', async () => {
    await using cache = await start()
    const unsure = cache.transaction(async () => {
      await cache.invalidate('a')
      throw Object.assign(new Error('the answer was lost'), { outcome: 'unknown' })
    })
    await expect(unsure).rejects.toThrow('the answer was lost')
    expect(held(cache)).toEqual([undefined, 2, 3])
  })

  it('makes an invalidation of a set, and keeps the value from nobody before', async () => {
    await using cache = await start()
    await cache.transaction(async () => {
      expect(await cache.set('a', 'new')).toBe('deferred')
      expect(cache.peek('a')).toBe(1)
    })
    expect(cache.peek('a')).toBeUndefined()
  })

  it('belongs to the one around it', async () => {
    await using cache = await start()
    await cache.transaction(async () => {
      await cache.transaction(() => cache.invalidate('a'))
      await cache
        .transaction(async () => {
          await cache.invalidate('b')
          throw new Error('inner')
        })
        .catch(() => {})
      expect(held(cache)).toEqual([1, 2, 3])
    })
    expect(held(cache)).toEqual([undefined, 2, 3])
    const outer = cache.transaction(async () => {
      await cache.transaction(() => cache.invalidate('b'))
      throw new Error('outer')
    })
    await expect(outer).rejects.toThrow('outer')
    expect(cache.peek('b')).toBe(2)
  })

  it('holds up neither what runs beside it nor what goes on after it', async () => {
    await using cache = await start()
    let later: () => void = () => {}
    let after: Promise<unknown> = Promise.resolve()
    await Promise.all([
      cache.transaction(async () => {
        after = new Promise<void>((resolve) => {
          later = resolve
        }).then(() => cache.invalidate('a'))
      }),
      cache.invalidate('b'),
    ])
    expect(cache.peek('b')).toBeUndefined()
    later()
    expect(await after).toBe('fleet')
    expect(cache.peek('a')).toBeUndefined()
  })

  it('is waited for by close', async () => {
    const cache = await start()
    let commit: () => void = () => {}
    const reached: unknown[] = []
    cache.on('invalidated', ({ names }) => void reached.push(...names))
    const running = cache.transaction(async () => {
      await cache.invalidate('a')
      await new Promise<void>((resolve) => {
        commit = resolve
      })
    })
    await new Promise((resolve) => setImmediate(resolve))
    const closed = cache.close()
    commit()
    await running
    await closed
    expect(reached).toEqual(['a'])
  })

  it('becomes one clear when it invalidates more than the queue holds', async () => {
    await using cache = createCache({ name: 'test', l2: { queue: 3 } })
    await cache.set('other', 1)
    await cache.transaction(() => cache.invalidate(['1', '2', '3', '4']))
    expect(cache.peek('other')).toBeUndefined()
  })
})
