import { type Cluster, Redis } from 'ioredis'
import { type Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { expectTypeOf, test } from 'vitest'
import { type ClusterRedis, type SentinelRedis, type StandaloneRedis, startRedis } from '../../src/index.ts'

test('the mode decides what is started', () => {
  expectTypeOf(startRedis()).resolves.toEqualTypeOf<StandaloneRedis>()
  expectTypeOf(startRedis({ mode: 'standalone' })).resolves.toEqualTypeOf<StandaloneRedis>()
  expectTypeOf(startRedis({ mode: 'sentinel' })).resolves.toEqualTypeOf<SentinelRedis>()
  expectTypeOf(startRedis({ mode: 'cluster' })).resolves.toEqualTypeOf<ClusterRedis>()
})

test('each mode has only the verbs and options that make sense for it', () => {
  expectTypeOf<ClusterRedis>().toHaveProperty('migrateSlot')
  expectTypeOf<SentinelRedis>().not.toHaveProperty('migrateSlot')
  expectTypeOf<StandaloneRedis>().not.toHaveProperty('migrateSlot')
  expectTypeOf<StandaloneRedis>().not.toHaveProperty('failover')
  // @ts-expect-error: primaries are a cluster's
  startRedis({ mode: 'sentinel', primaries: 3 })
})

test('what is started goes into clients of both majors as it is', () => {
  const { nodes } = {} as ClusterRedis
  const { sentinels, name } = {} as SentinelRedis
  expectTypeOf([...nodes]).toExtend<ConstructorParameters<typeof Cluster>[0]>()
  expectTypeOf([...nodes]).toExtend<ConstructorParameters<typeof Cluster5>[0]>()
  expectTypeOf(() => new Redis({ sentinels: [...sentinels], name })).returns.toEqualTypeOf<Redis>()
  expectTypeOf(() => new Redis5({ sentinels: [...sentinels], name })).returns.toEqualTypeOf<Redis5>()
})
