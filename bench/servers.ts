import { startFaultProxy, startPostgres, startRedis } from '@cays/testkit'
import type { BenchmarkCase, Servers } from './define-case.ts'

/** Starts what a case needs, on loopback, for its time alone. */
export async function startServers({
  redis = false,
  replicas,
  roundTrip,
}: NonNullable<BenchmarkCase['needs']>): Promise<Servers & AsyncDisposable> {
  const redisServer = redis ? await startRedis() : undefined
  const postgres = replicas === undefined ? undefined : await startPostgres({ replicas })
  const near = postgres && roundTrip !== undefined ? [postgres.urls.primary, ...postgres.urls.replicas] : []
  const lines = await Promise.all(near.map((url) => startFaultProxy(url, { latency: (roundTrip ?? 0) / 2 })))
  return {
    redisUrl: redisServer?.url ?? '',
    primaryUrl: postgres?.urls.primary ?? '',
    replicaUrls: postgres?.urls.replicas ?? [],
    farUrls: lines.map((line) => line.url),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(lines.map((line) => line.close()))
      await Promise.all([redisServer?.close(), postgres?.close()])
    },
  }
}
