import type { Duration } from '@cays/core/duration'
import { policyReader, readUnits, readWindow } from './policy.ts'

/** How much one connection may say. */
export interface MessageLimiterOptions {
  /** Units per window, over any length of time. */
  readonly limit: number
  readonly per: Duration
  /** Units that may be used at one moment after a rest. @default limit */
  readonly burst?: number
}

/** What a socket server asks before it handles a message. */
export interface MessageLimiter {
  /** Takes `n` units (1 when absent) if there are that many; allocates nothing. */
  take(n?: number): boolean
}

/**
 * A limit for one connection in this process: GCRA in two numbers, for the messages of a socket. Make one per
 * connection and drop it with the connection.
 */
export function messageLimiter(options: MessageLimiterOptions): MessageLimiter {
  const reader = policyReader('messageLimiter')
  reader.known(options, ['limit', 'per', 'burst'])
  const limit = readUnits(reader, 'limit', options.limit)
  const burst = options.burst === undefined ? limit : readUnits(reader, 'burst', options.burst)
  // Milliseconds that one unit takes to come back, and the most that may be outstanding.
  const interval = readWindow(reader, 'per', options.per) / limit
  const tolerance = (burst * interval) / 1_000
  let free = 0
  return {
    take(n = 1) {
      if (typeof n !== 'number' || !(n >= 0)) return false
      const now = performance.now()
      const next = Math.max(free, now) + n * interval
      if (next - now > tolerance + 1e-6) return false
      free = next
      return true
    },
  }
}
