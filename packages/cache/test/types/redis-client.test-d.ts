import type { Cluster, Redis } from 'ioredis'
import { expectTypeOf, it } from 'vitest'
import { createCache, type RedisClient } from '../../src/index.ts'

it('takes the clients of ioredis as they are', () => {
  expectTypeOf<Redis>().toExtend<RedisClient>()
  expectTypeOf<Cluster>().toExtend<RedisClient>()
})

it('gives what the loader returns', () => {
  const cache = createCache({ name: 'types' })
  expectTypeOf(cache.getOrSet('k', () => 1)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(cache.getOrSet('k', async () => [new Date()])).toEqualTypeOf<Promise<Date[]>>()
  expectTypeOf(cache.get<string>('k')).toEqualTypeOf<Promise<string | undefined>>()
  const users = cache.define({ name: 'user', load: async (id: number) => ({ id }) })
  expectTypeOf(users.get).parameter(0).toEqualTypeOf<number>()
  expectTypeOf(users.getMany([1])).toEqualTypeOf<Promise<{ id: number }[]>>()
  const memoized = cache.memoize((a: number, b: string) => `${a}${b}`, { name: 'memo' })
  expectTypeOf(memoized).parameters.toEqualTypeOf<[number, string]>()
})
