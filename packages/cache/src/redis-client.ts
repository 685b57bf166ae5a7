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
  /** Of a `Cluster`: the nodes of each slot. Keys of one node are read in one round trip. */
  readonly slots?: readonly (readonly string[])[]
  /** Sends commands together. */
  pipeline(commands: unknown[][]): {
    /** Sends them; one answer or error per command. */
    exec(): Promise<readonly (readonly [error: Error | null, result: unknown])[] | null>
  }
  /** Opens a second connection, for pub/sub. The cache closes it, and never closes the client it was given. */
  duplicate(...args: never[]): RedisSubscriber
  /** Called when the client has yet to connect, or waits to reconnect while the cache would use Redis again. */
  connect(): Promise<unknown>
  /** Connection events. */
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown
  /** Ends a subscription made with `on`. */
  off(event: 'ready' | 'close' | 'end', listener: () => void): unknown
}

/** The cache's own connection for pub/sub, as ioredis makes it. */
export interface RedisSubscriber {
  /** Subscribes, once per connection. */
  subscribe(channel: string): Promise<unknown>
  /** Sends any command. */
  call(command: string, ...parts: string[]): Promise<unknown>
  /** Asks for an answer, also of a connection that has subscribed. */
  ping(): Promise<unknown>
  /** Messages of all subscribed channels. */
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  /** The same as bytes; on the channel of CLIENT TRACKING a list of keys, or nothing after a flush. */
  on(event: 'messageBuffer', listener: (channel: Uint8Array, message: unknown) => void): unknown
  /** The connection is there, is gone, and will not come back. */
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown
  /** Connection errors. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Closes the connection, or drops it and connects anew. */
  disconnect(reconnect?: boolean): void
}
