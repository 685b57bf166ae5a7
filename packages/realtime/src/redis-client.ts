import type { ScriptClient } from '@cays/core/redis-script'

/** What this package needs of a Redis client; ioredis 5 and 6, `Redis` and `Cluster`, fit as they are. */
export interface RedisClient extends ScriptClient {
  readonly status: string
  readonly isCluster: boolean
  publish(channel: string, message: string): Promise<unknown>
  spublish(channel: string, message: string): Promise<unknown>
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  ssubscribe(...channels: string[]): Promise<unknown>
  sunsubscribe(...channels: string[]): Promise<unknown>
  ping(): Promise<unknown>
  /** The servers of a cluster. */
  nodes?(role: 'master'): readonly RedisServer[]
  duplicate(...args: never[]): unknown
  on(event: string, listener: (...args: unknown[]) => void): unknown
  disconnect(reconnect?: boolean): void
}

/** A server of a cluster, as its client reaches it. */
export interface RedisServer {
  readonly status: string
  ping(): Promise<unknown>
  disconnect(): void
}

const RETRY = (times: number): number => Math.random() * Math.min(1_000, 50 * 2 ** Math.min(times, 6))

/**
 * A connection of our own, with the address and credentials of the user's client and our rules: it never
 * sends a command twice by itself, never queues while down, and never stops reconnecting.
 */
export function ownConnection(client: RedisClient, role: string): RedisClient {
  const connection = {
    connectionName: `cays-realtime:${role}`,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableOfflineQueue: false,
    // Whatever was under way fails when the connection is lost; with `null` it would wait forever.
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
    keyPrefix: '',
    lazyConnect: false,
  }
  const { options } = client as { readonly options?: { readonly redisOptions?: object } }
  const args = client.isCluster
    ? [
        [],
        {
          // Otherwise a cluster with a `natMap` never becomes ready.
          redisOptions: { ...options?.redisOptions, ...connection, lazyConnect: true },
          enableOfflineQueue: false,
          shardedSubscribers: role === 'subscriber',
          clusterRetryStrategy: RETRY,
          lazyConnect: false,
        },
      ]
    : [{ ...connection, retryStrategy: RETRY }]
  const own = client.duplicate(...(args as never[])) as RedisClient
  // State is told through health(); an unhandled 'error' would end the process.
  own.on('error', () => {})
  return own
}

/** How a failed command may be treated. */
export type RedisFailure = 'unavailable' | 'no-script' | 'refused'

/** Errors of a server that is starting, failing over or moving slots pass; connection errors too. */
export function failureOf(error: unknown): RedisFailure {
  if (!(error instanceof Error)) return 'unavailable'
  if (/^NOSCRIPT|RUNID mismatch/.test(error.message)) return 'no-script'
  if (error.name !== 'ReplyError') return 'unavailable'
  return /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|UNBLOCKED|MOVED|ASK)\b/.test(
    error.message,
  )
    ? 'unavailable'
    : 'refused'
}
