import type { Closeable } from '@cays/core/lifecycle'
import { type ClusterRedis, startCluster } from './redis-cluster.ts'
import { onFreshGround } from './redis-ground.ts'
import {
  type ClusterRedisOptions,
  type RedisOptions,
  readRedisOptions,
  type SentinelRedisOptions,
  type StandaloneRedisOptions,
} from './redis-options.ts'
import { type SentinelRedis, startSentinel } from './redis-sentinel.ts'
import { RedisServer } from './redis-server.ts'
import type { RedisNode } from './redis-verbs.ts'

/** One Redis server. Give `url` to a client. */
export interface StandaloneRedis extends RedisNode, Closeable {
  readonly mode: 'standalone'
}

/**
 * Starts real Redis servers on loopback, on ports of their own, with their data in a temporary folder: the
 * machine's `redis-server` or `valkey-server` (7 or later), found through `REDIS_SERVER` and PATH. Resolves when
 * clients can be served. Acknowledged writes survive SIGKILL of a server (append-only file).
 *
 * `close()` ends the servers and removes the folder; so does the death of this process, however it dies.
 *
 * Throws `TESTKIT_ERR_SERVER_MISSING` with the command that installs Redis, `TESTKIT_ERR_OPTIONS`,
 * `TESTKIT_ERR_START_FAILED`.
 *
 * @example
 * await using redis = await startRedis({ mode: 'cluster' })
 * const client = new Cluster([...redis.nodes])
 */
export function startRedis(options?: StandaloneRedisOptions): Promise<StandaloneRedis>
export function startRedis(options: SentinelRedisOptions): Promise<SentinelRedis>
export function startRedis(options: ClusterRedisOptions): Promise<ClusterRedis>
export async function startRedis(
  options: RedisOptions = {},
): Promise<StandaloneRedis | SentinelRedis | ClusterRedis> {
  const read = readRedisOptions(options)
  read.signal?.throwIfAborted()
  if (read.mode === 'sentinel') return await startSentinel(read)
  if (read.mode === 'cluster') return await startCluster(read)
  return await onFreshGround(1, async ({ program, folder, ports: [port = 0], lifecycle }) => {
    const server = new RedisServer({
      program,
      folder,
      port,
      lifecycle,
      password: read.password,
      settings: read.config,
    })
    lifecycle.onClose(() => server.kill())
    await server.launch(read.signal)
    return Object.assign(server, {
      mode: 'standalone' as const,
      close: () => lifecycle.close(),
      [Symbol.asyncDispose]: () => lifecycle.close(),
    })
  })
}
