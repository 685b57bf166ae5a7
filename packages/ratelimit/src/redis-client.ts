import type { ScriptClient } from '@cays/core/redis-script'

/** The part of an ioredis client this package uses; `Redis` and `Cluster` of versions 5 and 6 fit as they are. */
export interface RedisClient extends ScriptClient {
  /** ioredis' connection state; only `reconnecting`, `close` and `end` matter here. */
  readonly status?: string
  /** True for a `Cluster`: calls are then split by partition. */
  readonly isCluster?: boolean
}

/** False when a command could only wait for a connection that is known to be gone. */
export function connected(client: RedisClient): boolean {
  const { status } = client
  return status !== 'reconnecting' && status !== 'close' && status !== 'end'
}
