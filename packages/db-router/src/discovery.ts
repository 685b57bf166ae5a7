import type { Duration } from '@cays/core/duration'
import type { ServerOptions } from './options.ts'

/** What a search for servers has at hand. */
export interface DiscoveryContext {
  readonly signal: AbortSignal
  /** Runs a read on any server that is known, for clusters that tell about themselves in SQL. */
  readonly query: (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>
}

/** Where servers come from. Their roles do not: those are observed. */
export interface Discovery {
  /**
   * Every server there is now, replicas and primary in any order. A throw or an empty list leaves things as they are.
   * Whoever is named no more finishes what it has; a primary stays until there is another.
   */
  find(context: DiscoveryContext): Promise<readonly (string | ServerOptions)[]>
  /** Time between two searches. There is one at once when a server goes down or the primary changes. @default '30s' */
  readonly interval?: Duration
  /**
   * What each server is asked instead of Postgres' own functions, where those do not tell: one row with `standby`
   * (boolean), `system` (text), `lsn` (as Postgres writes it), `timeline` (integer), `lag` (milliseconds or null).
   */
  readonly probe?: string
}
