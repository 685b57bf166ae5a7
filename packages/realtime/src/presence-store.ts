import type { HistorySpec } from './broker.ts'

/** One user of a node comes, changes or goes. */
export interface PresenceChange {
  /** `assert` says again that somebody is there, for a store that may have forgotten. */
  readonly kind: 'enter' | 'assert' | 'leave'
  readonly user: string
  /** JSON text; empty when leaving. */
  readonly data: string
}

/** Who is in a room, at a position of its presence room. */
export interface Roster {
  readonly epoch: string
  readonly top: number
  /** With their data as JSON text. */
  readonly members: readonly (readonly [user: string, data: string])[]
}

/** What became of a node's lease, and whose has run out. */
export interface Lease {
  /** `expired`: the name is spent, the node has to take another. */
  readonly state: 'new' | 'renewed' | 'expired'
  readonly expired: readonly string[]
}

/**
 * Who is in which room. A user is there while any node says so; a node's word holds as long as its lease.
 * What changes is told as messages of the presence room, so that it is delivered as any message is.
 */
export interface PresenceStore {
  /** Carries out changes of one node, in order; each may be repeated. `last`: the node has nobody left there. */
  change(
    room: string,
    spec: HistorySpec,
    node: string,
    changes: readonly PresenceChange[],
    last: boolean,
  ): Promise<void>
  roster(room: string, spec: HistorySpec): Promise<Roster>
  /** Whether it still knows that a user is there through this node. */
  knows(room: string, node: string, user: string): Promise<boolean>
  /** Renews a node's lease for so many milliseconds. */
  renew(node: string, length: number): Promise<Lease>
  /** Has everybody leave whom only this node knows of, and ends its lease. May be repeated. */
  bury(node: string, spec: HistorySpec): Promise<void>
}
