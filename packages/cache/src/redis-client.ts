import type { ScriptClient } from '@cays/core/redis-script'

/**
 * What the cache needs of a Redis client; ioredis 5 and 6 fit as they are, `Redis` (standalone, Sentinel) and
 * `Cluster`. Declared here so that ioredis is never imported.
 */
export interface RedisClient extends ScriptClient {
  /** ioredis' connection state; commands are sent only while it is `'ready'`. */
  readonly status: string
  /** True for `Cluster`: keys then live in many slots and one script cannot touch them all. */
  readonly isCluster?: boolean
  /** Opens a second connection, for pub/sub. The cache closes it, and never closes the client it was given. */
  duplicate(): RedisSubscriber
  connect(): Promise<unknown>
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown
  off(event: 'ready' | 'close' | 'end', listener: () => void): unknown
}

export interface RedisSubscriber {
  subscribe(channel: string): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  disconnect(reconnect?: boolean): void
}
