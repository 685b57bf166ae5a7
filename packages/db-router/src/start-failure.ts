import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import { PoolEnded, PoolTimeout } from './connection-pool.ts'
import { UnavailableError } from './errors.ts'
import {
  codeOf,
  INVALID_PASSWORD,
  isFatal,
  isRefusal,
  isServerError,
  TOO_MANY_CONNECTIONS,
  withOutcome,
} from './failure.ts'
import type { Server } from './server.ts'
import type { Topology } from './topology.ts'

/** Tries of a statement that never started, beyond which waiting has not helped. */
const START_ATTEMPTS = 10

/**
 * There was no connection, so nothing was sent. Returns when it is worth trying again, throws a typed error when
 * it is not.
 */
export async function mayStartAgain(
  error: unknown,
  server: Server,
  attempts: number,
  topology: Topology,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted()
  // A token may have expired; the next connection asks for another.
  if (server.rotates && attempts === 1 && codeOf(error) === INVALID_PASSWORD) return
  if (isRefusal(error)) throw withOutcome(error, 'not-executed', server.name)
  const options = { cause: error, host: server.name, attempts }
  if (error instanceof PoolTimeout) {
    throw new UnavailableError(
      'DB_ERR_UNAVAILABLE',
      'all connections to the server are in use and none became free in time; raise pool.max or make statements shorter',
      options,
    )
  }
  if (error instanceof PoolEnded) {
    // Of a server that is no longer one of ours.
    if (!topology.closed) return
    throw new UnavailableError('DB_ERR_CLOSED', 'the router was closed before the statement started', options)
  }
  if (attempts >= START_ATTEMPTS) {
    throw new UnavailableError('DB_ERR_UNAVAILABLE', 'no server could be reached; try again later', options)
  }
  if (codeOf(error) === TOO_MANY_CONNECTIONS) {
    await delay(backoff(attempts - 1, { base: 20, cap: 500 }) + 5, { signal })
    return
  }
  topology.suspect(server, !isServerError(error) || isFatal(error))
}
