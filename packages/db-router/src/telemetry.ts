import { operationChannel, pointChannel } from '@cays/core/tracing'

/** One statement, from the call to its result, all tries included. */
export const QUERY_CHANNEL = operationChannel(
  'cays:db-router:query',
  'One statement, those of transactions included. Attributes: db.system.name, db.operation.name, db.response.status_code (SQLSTATE of an error), server.address, server.port, cays.role (primary or replica), cays.reason (why there), cays.attempts. Details: cays.waited (seconds until it was sent), cays.staleness (how stale the replica was at most, in seconds), cays.timeline and cays.position (what its session had seen, so that the server had to show it). Outcome: ok, not-executed, rolled-back, unknown, superseded (another server answered first), error. Under OpenTelemetry a client span named after the command, and db.client.operation.duration.',
  { duration: 'db.client.operation.duration', span: 'db.operation.name' },
)

/** A server came, went or changed its role. */
export const SERVER_CHANNEL = pointChannel(
  'cays:db-router:server',
  'event',
  'A server changed its role or health. Attributes: server.address, server.port, cays.role, cays.health.',
)

/** How far replicas are behind, as every look at a replica finds it. */
export const STALENESS_CHANNEL = pointChannel(
  'cays:db-router:staleness',
  'gauge',
  'Upper bound of how stale a replica is, in seconds. Attributes: server.address, server.port.',
)

/** A server under the names of the OpenTelemetry conventions. */
export function addressOf(server: { readonly name: string }): Record<string, string | number> {
  const at = server.name.lastIndexOf(':')
  return { 'server.address': server.name.slice(0, at), 'server.port': Number(server.name.slice(at + 1)) }
}
