import type { Cluster, Redis } from 'ioredis'
import { expectTypeOf, it } from 'vitest'
import { createClient } from '../../src/client.ts'
import { createRealtime, defineContract, unchecked } from '../../src/index.ts'
import type { RedisClient } from '../../src/redis-client.ts'

const contract = defineContract({
  rooms: {
    'job:{id}': { events: { updated: unchecked<{ title: string }>(), closed: unchecked<null>() } },
    lobby: { events: { chat: unchecked<string>() } },
  },
  user: { events: { notice: unchecked<{ text: string }>() } },
  rpc: { rename: { input: unchecked<{ id: number }>(), output: unchecked<string>() } },
})

it('takes the clients of ioredis as they are', () => {
  const accept = (client: RedisClient) => client
  expectTypeOf(accept).toBeCallableWith({} as Redis)
  expectTypeOf(accept).toBeCallableWith({} as Cluster)
})

it('types rooms, events, users and methods from the contract', () => {
  const realtime = createRealtime({
    contract,
    origins: 'any',
    authenticate: async () => ({ userId: 'a', admin: true }),
    authorize: {
      'job:{id}': (who, { id }) => {
        expectTypeOf(who.admin).toEqualTypeOf<boolean>()
        expectTypeOf(id).toEqualTypeOf<string>()
        return true
      },
      lobby: true,
    },
  })
  const job = realtime.room('job:{id}', { id: 1 })
  expectTypeOf(job.publish<'updated'>)
    .parameter(1)
    .toEqualTypeOf<{ title: string }>()
  // @ts-expect-error: no such event
  job.publish('renamed', 1)
  // @ts-expect-error: the parameter is missing
  realtime.room('job:{id}')
  realtime.room('lobby').publish('chat', 'hello')
  realtime.user('a').publish('notice', { text: 'x' })
  realtime.rpc('rename', (input, { who }) => {
    expectTypeOf(input).toEqualTypeOf<{ id: number }>()
    expectTypeOf(who.admin).toEqualTypeOf<boolean>()
    return 'x'
  })

  const client = createClient<typeof contract>({ url: 'ws://x' })
  client.room('job:{id}', { id: 1 }).on('updated', (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<{ title: string }>()
    expectTypeOf(meta.offset).toEqualTypeOf<number>()
  })
  client.user().on('notice', (data) => expectTypeOf(data).toEqualTypeOf<{ text: string }>())
  expectTypeOf(client.call<'rename'>).returns.resolves.toEqualTypeOf<string>()
})
