import type { Statement } from './classify.ts'
import { UsageError } from './errors.ts'

/** Commands of the session kind that leave nothing behind. */
const HARMLESS = new Set(['SHOW', 'RESET', 'LOCK'])

/**
 * Outside of a transaction a transaction pooler gives each statement any connection. What one leaves there is met by
 * strangers, and never again by whoever left it.
 */
export function refuseSessionState({ kind, command }: Statement): UsageError | undefined {
  if (kind !== 'session' || HARMLESS.has(command)) return undefined
  return new UsageError(
    'DB_ERR_USAGE',
    `${command} outside of a transaction does not survive a transaction pooler; use SET LOCAL or a cursor inside transaction(), or connect to the server itself`,
  )
}
