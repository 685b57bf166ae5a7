import { describe, expect, it, vi } from 'vitest'
import { cached, cachedMany, invalidates, keyOf } from '../../src/decorators.ts'
import { type Cache, createCache } from '../../src/index.ts'

const source = { byId: vi.fn(), byIds: vi.fn() }

interface Order {
  readonly id: string
  readonly tenant: string
}

class Orders {
  readonly cache: Cache
  readonly tenant: string

  constructor(cache: Cache, tenant = 'a') {
    this.cache = cache
    this.tenant = tenant
  }

  @cached((self: Orders) => self.cache, {
    name: 'orders.byId',
    tags: (order: Order, _id: string) => [`tenant:${order.tenant}`],
  })
  async byId(id: string): Promise<Order> {
    source.byId(id)
    return { id, tenant: this.tenant }
  }

  @cached((self: Orders) => self.cache, { name: 'orders.mine', scope: (self) => self.tenant })
  async mine(page: number): Promise<string> {
    return `${this.tenant} ${page}`
  }

  @cachedMany((self: Orders) => self.cache, { name: 'orders.byId' })
  async byIds(ids: readonly string[]): Promise<Order[]> {
    source.byIds(ids)
    return ids.map((id) => ({ id, tenant: this.tenant }))
  }

  @invalidates(
    (self: Orders) => self.cache,
    (_, id: string) => ({ keys: [keyOf('orders.byId', id)] }),
  )
  async rename(id: string, fail = false): Promise<string> {
    if (fail) throw new Error('no')
    return id
  }
}

describe('decorators', () => {
  it('cache a method by its arguments', async () => {
    await using cache = createCache({ name: 'test' })
    const orders = new Orders(cache)
    source.byId.mockClear()
    expect(await orders.byId('1')).toEqual({ id: '1', tenant: 'a' })
    await orders.byId('1')
    await new Orders(cache).byId('1')
    expect(source.byId).toHaveBeenCalledTimes(1)
    await cache.invalidateTags('tenant:a')
    await orders.byId('1')
    expect(source.byId).toHaveBeenCalledTimes(2)
  })

  it('keep scopes apart', async () => {
    await using cache = createCache({ name: 'test' })
    expect(await new Orders(cache, 'a').mine(1)).toBe('a 1')
    expect(await new Orders(cache, 'b').mine(1)).toBe('b 1')
  })

  it('coalesce what is asked for in one turn and share entries with the method of one id', async () => {
    await using cache = createCache({ name: 'test' })
    const orders = new Orders(cache)
    source.byIds.mockClear()
    source.byId.mockClear()
    const [one, two] = await Promise.all([orders.byIds(['1', '2']), orders.byIds(['2', '3'])])
    expect(one.map(({ id }) => id)).toEqual(['1', '2'])
    expect(two.map(({ id }) => id)).toEqual(['2', '3'])
    expect(source.byIds.mock.calls).toEqual([[['1', '2', '3']]])
    await orders.byId('3')
    expect(source.byId).not.toHaveBeenCalled()
  })

  it('invalidate after success, and not after failure', async () => {
    await using cache = createCache({ name: 'test' })
    const orders = new Orders(cache)
    await orders.byId('1')
    source.byId.mockClear()
    await expect(orders.rename('1', true)).rejects.toThrow('no')
    await orders.byId('1')
    expect(source.byId).not.toHaveBeenCalled()
    expect(await orders.rename('1')).toBe('1')
    await orders.byId('1')
    expect(source.byId).toHaveBeenCalledTimes(1)
  })

  it('work with a cache that is at hand when the class is defined', async () => {
    await using cache = createCache({ name: 'test' })
    let calls = 0
    class Report {
      @cached(cache, { name: 'report', ttl: '1h' })
      async build(): Promise<number> {
        return ++calls
      }
    }
    const report = new Report()
    expect([await report.build(), await report.build()]).toEqual([1, 1])
  })
})

describe('getOrSetMany', () => {
  it('loads the missing keys together and keeps the order', async () => {
    await using cache = createCache({ name: 'test' })
    await cache.set('b', 'B')
    const load = vi.fn(async (keys: readonly string[]) => keys.map((key) => key.toUpperCase()))
    expect(await cache.getOrSetMany(['a', 'b', 'c', 'a'], load)).toEqual(['A', 'B', 'C', 'A'])
    expect(load.mock.calls.map(([keys]) => keys)).toEqual([['a', 'c']])
  })

  it('says so when the batch loader returns something else than one value per key', async () => {
    await using cache = createCache({ name: 'test' })
    await expect(cache.getOrSetMany(['a', 'b'], async () => [1])).rejects.toMatchObject({
      code: 'CACHE_ERR_VALUE',
    })
  })
})
