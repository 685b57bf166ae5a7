import type { Admission } from './admission.ts'
import type { Envelopes } from './envelope.ts'
import type { Failures } from './failures.ts'
import type { Fleet } from './fleet.ts'
import type { MemoryTier } from './memory-tier.ts'
import type { Settings } from './options.ts'
import type { Timeline } from './timeline.ts'
import type { Warnings } from './warnings.ts'

/** Where a read ended, if not in memory. */
export type Outcome = 'redis' | 'loaded' | 'stale' | 'failed'

/** What reads work with. */
export interface ReadParts {
  readonly memory: MemoryTier
  readonly timeline: Timeline
  /** None without Redis. */
  readonly fleet: Fleet | undefined
  readonly envelopes: Envelopes
  readonly settings: Settings
  readonly warnings: Warnings
  readonly closing: AbortSignal
  readonly observe: (outcome: Outcome) => void
}

/** And what loads work with. */
export interface LoadParts extends ReadParts {
  readonly admission: Admission
  readonly failures: Failures
}
