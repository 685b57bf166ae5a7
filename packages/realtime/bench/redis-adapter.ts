import { Redis } from 'ioredis'
import { peer } from '../../../bench/peer.ts'

interface RedisAdapterModule {
  readonly createAdapter: (publisher: Redis, subscriber: Redis, options: { key: string }) => unknown
}

/** What makes several socket.io servers one: those with the same key. */
export async function redisAdapter(url: string, key: string): Promise<unknown> {
  const { createAdapter } = await peer<RedisAdapterModule>('@socket.io/redis-adapter')
  return createAdapter(new Redis(url), new Redis(url), { key })
}
