import { startPostgres, startRedis } from '@cays/testkit'
import type { BenchmarkCase, Servers } from './define-case.ts'

/** Starts what a case needs, on loopback, for its time alone. */
export async function startServers({
  redis = false,
  replicas,
}: NonNullable<BenchmarkCase['needs']>): Promise<Servers & AsyncDisposable> {
  const redisServer = redis ? await startRedis() : undefined
  const postgres = replicas === undefined ? undefined : await startPostgres({ replicas })
  return {
    redisUrl: redisServer?.url ?? '',
    primaryUrl: postgres?.urls.primary ?? '',
    replicaUrls: postgres?.urls.replicas ?? [],
    [Symbol.asyncDispose]: async () => {
      await Promise.all([redisServer?.close(), postgres?.close()])
    },
  }
}
