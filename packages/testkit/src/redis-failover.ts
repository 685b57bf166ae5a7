import { delay } from '@cays/core/abort'
import type { RedisServer } from './redis-server.ts'
import { waitUntil } from './redis-wait.ts'

export interface FailoverOptions {
  /**
   * Cuts replication first and keeps it cut while the given function runs: what the primary acknowledges to it
   * is lost with the failover. `true` keeps it cut for 300 ms, for writers that run anyway. Keep it under
   * 10 s: a replica that was cut off for longer is not promoted.
   */
  readonly lagging?: true | (() => unknown) | undefined
  /**
   * `'planned'`: ordered by an operator, the old primary lives on as a replica. `'crash'`: the primary is killed
   * and the failover left to those who watch; it stays down until it is started.
   *
   * @default 'planned'
   */
  readonly cause?: 'planned' | 'crash' | undefined
}

/**
 * Cuts the replicas off and lets writes pass them by, as asked for; leaves them cut off. What the primary
 * acknowledged before is with the replicas first.
 */
export async function lag(
  primary: RedisServer,
  replicas: readonly RedisServer[],
  lagging: FailoverOptions['lagging'],
): Promise<void> {
  if (!lagging) return
  const offset = Number((await primary.info()).get('master_repl_offset'))
  await waitUntil(
    'the replicas have all writes so far',
    async () => {
      const infos = await Promise.all(replicas.map((replica) => replica.info()))
      return infos.every((info) => Number(info.get('slave_repl_offset')) >= offset)
    },
    { timeout: 10_000 },
  )
  await Promise.all(replicas.map((replica) => replica.cutReplication()))
  try {
    if (lagging === true) await delay(300)
    else await lagging()
  } catch (error) {
    await Promise.all(replicas.map((replica) => replica.restoreReplication()))
    throw error
  }
}
