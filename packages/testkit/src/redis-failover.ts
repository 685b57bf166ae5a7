import { delay } from '@cays/core/abort'
import type { RedisServer } from './redis-server.ts'
import { waitUntil } from './redis-wait.ts'

/** How a replica becomes the primary. */
export interface RedisFailoverOptions {
  /**
   * Cuts replication first and keeps it cut while the given function runs: what the primary acknowledges then is
   * lost with the failover, what it acknowledged before is not. `true` keeps it cut for 300 ms, for writers that
   * run anyway. Keep it short: a replica cut off for ten times `downAfter` or `nodeTimeout` is not promoted.
   */
  readonly lagging?: true | (() => unknown) | undefined
  /**
   * `'planned'`: ordered by an operator, the old primary lives on as a replica. `'crash'`: the primary is killed,
   * and the rest left to those who watch it; it stays down until it is started. A crash soon after another
   * failover takes longer: sentinels wait 4 s, a cluster's replica four times `nodeTimeout`, between two tries.
   *
   * @default 'planned'
   */
  readonly cause?: 'planned' | 'crash' | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Cuts the replicas off and lets writes pass them by, as asked for; leaves them cut off. What the primary
 * acknowledged before is with the replicas first.
 */
export async function lag(
  primary: RedisServer,
  replicas: readonly RedisServer[],
  lagging: RedisFailoverOptions['lagging'],
  signal: AbortSignal,
): Promise<void> {
  if (!lagging) return
  const offset = Number((await primary.info()).get('master_repl_offset'))
  await waitUntil(
    'the replicas have all writes so far',
    async () => {
      const infos = await Promise.all(replicas.map((replica) => replica.info()))
      return infos.every((info) => Number(info.get('slave_repl_offset')) >= offset)
    },
    { timeout: 10_000, signal },
  )
  await Promise.all(replicas.map((replica) => replica.cutReplication()))
  try {
    if (lagging === true) await delay(300, { signal })
    else await lagging()
  } catch (error) {
    await restore(replicas)
    throw error
  }
}

/** Lets up again what {@link lag} cut. */
export async function restore(replicas: readonly RedisServer[]): Promise<void> {
  const running = replicas.filter((replica) => replica.state === 'running')
  await Promise.all(running.map((replica) => replica.restoreReplication()))
}
