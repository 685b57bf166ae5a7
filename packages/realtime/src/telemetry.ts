import { type OperationChannel, operationChannel, type PointChannel, pointChannel } from '@cays/core/tracing'

/** One publish, from the call until it is stored; attributes: `ephemeral`. */
export const PUBLISHES: OperationChannel = operationChannel(
  'cays:realtime:publish',
  'Publishing one message to a room, until it is stored.',
)

/** The sockets of a node, told when one comes or goes. */
export const CONNECTIONS: PointChannel = pointChannel(
  'cays:realtime:connections',
  'gauge',
  'Open sockets of this node.',
)

/** A room of this node went on after messages nobody can bring back; attributes: `reason`. */
export const GAPS: PointChannel = pointChannel(
  'cays:realtime:gap',
  'event',
  'A room went on after messages that history could not give back; `reason` is `trimmed` or `lost`.',
)

/** A room of this node read what its live flow had missed. */
export const REPAIRS: PointChannel = pointChannel(
  'cays:realtime:repair',
  'event',
  'A room read messages its live flow had missed.',
)

/** Somebody came or went through this node, or what the store had lost was said again; attributes: `change`. */
export const PRESENCE: PointChannel = pointChannel(
  'cays:realtime:presence',
  'event',
  "A change of presence: `change` is `enter` or `leave` for a user of this node, `repair` for a room whose members the store had lost, `cleanup` for a dead node's.",
)

/** A socket fell behind its budget and reads from the history until it has caught up. */
export const STALLS: PointChannel = pointChannel(
  'cays:realtime:stall',
  'event',
  'A socket fell behind its budget and catches up from the history.',
)
