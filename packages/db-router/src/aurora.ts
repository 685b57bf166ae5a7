import type { Duration } from '@cays/core/duration'
import type { Discovery } from './discovery.ts'
import { serverUrls } from './server-url.ts'
import { optionReader } from './settings.ts'

/** How to reach the instances of an Aurora cluster. */
export interface AuroraOptions {
  /**
   * URL of an instance with `{id}` in place of its name, such as
   * `postgres://app@{id}.abc123.eu-west-1.rds.amazonaws.com/app`.
   */
  readonly instance: string
  /** @default '30s' */
  readonly interval?: Duration
}

const INSTANCES = `select server_id from aurora_replica_status()
  where session_id = 'MASTER_SESSION_ID' or last_update_timestamp > now() - interval '5 minutes'`

// Readers of shared storage have no replay position. The lower one they are given here reaches no writer's.
const PROBE = `select s.standby, 'aurora' as system, case when s.standby then '0/0' else '0/1' end as lsn, 1 as timeline, s.lag
  from (select pg_is_in_recovery() or coalesce(bool_and(session_id <> 'MASTER_SESSION_ID'), true) as standby,
    max(replica_lag_in_msec)::float8 as lag
    from aurora_replica_status() where server_id = aurora_db_instance_identifier()) s`

/**
 * The instances of an Aurora cluster, for the `discovery` option; name one of them, or the cluster endpoint, as
 * `primary`. Readers of Aurora tell how far behind they are, but not up to which write. So a session that wrote reads
 * from the writer until `maxStaleness` has passed; other reads go to readers that say they are no staler than that.
 *
 * @example
 * ```ts
 * const db = createRouter({
 *   primary: 'postgres://app@one.abc123.eu-west-1.rds.amazonaws.com/app',
 *   discovery: aurora({ instance: 'postgres://app@{id}.abc123.eu-west-1.rds.amazonaws.com/app' }),
 *   maxStaleness: '2s',
 * })
 * ```
 */
export function aurora(options: AuroraOptions): Discovery {
  const read = optionReader('aurora')
  read.known(options, ['instance', 'interval'])
  const instance = read.string('instance', read.required('instance', options.instance), '', /\{id\}/)
  const urlOf = (id: string) => instance.replaceAll('{id}', id)
  if (serverUrls(urlOf('1'))?.length !== 1) {
    read.fail('instance must be a URL such as postgres://app@{id}.abc123.eu-west-1.rds.amazonaws.com/app')
  }
  return {
    ...(options.interval === undefined ? {} : { interval: options.interval }),
    probe: PROBE,
    async find({ query }) {
      const rows = await query(INSTANCES)
      return rows.map((row) => urlOf(String(row.server_id)))
    },
  }
}
