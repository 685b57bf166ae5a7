import { formatLsn, sameLog } from './lsn.ts'
import type { Health, Role, Server } from './server.ts'
import type { Topology } from './topology.ts'

/** One server as it was last seen. */
export interface ServerReport {
  /** `host:port` */
  readonly server: string
  /** What the server said it is, not what it was configured as. */
  readonly role: Role
  readonly health: Health
  /** Writes go here. */
  readonly primary: boolean
  readonly timeline: number | undefined
  /** Insert position of a primary, replay position of a replica, as Postgres writes it. */
  readonly position: string | undefined
  /** Upper bound in milliseconds of how stale a replica is; `undefined` while unknown and for a primary. */
  readonly staleness: number | undefined
  /** Upper bound in bytes of what a replica has not replayed; `undefined` while unknown and for a primary. */
  readonly behind: number | undefined
  readonly inFlight: number
  /** Moving average of the response time in milliseconds. */
  readonly latency: number
  readonly connections: { readonly total: number; readonly idle: number; readonly waiting: number }
}

/** What `topology()` says of a server. */
export function reportOf(server: Server, { log, primary }: Topology): ServerReport {
  const { role, health, sample, pool } = server
  const replica = role === 'replica' && health === 'up'
  const { head } = log
  const comparable = replica && sample && head && sameLog(head, sample.position)
  return {
    server: server.name,
    role,
    health,
    primary: server === primary,
    timeline: sample?.position.timeline,
    position: sample ? formatLsn(sample.position.lsn) : undefined,
    staleness: replica && server.freshAsOf > 0 ? performance.now() - server.freshAsOf : undefined,
    behind: comparable ? Math.max(0, head.lsn - sample.position.lsn) : undefined,
    inFlight: server.inFlight,
    latency: server.latency,
    connections: { total: pool.total, idle: pool.idle, waiting: pool.waiting },
  }
}
