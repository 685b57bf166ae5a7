import { deadline, raceAbort } from '@cays/core/abort'
import { CacheLoadError } from './errors.ts'

/** Runs a loader for `timeout` milliseconds at most; what it throws at once is a rejection like any other. */
export async function withinTimeout<T>(
  work: (signal: AbortSignal) => T | PromiseLike<T>,
  timeout: number,
  closing: AbortSignal,
): Promise<T> {
  using limit = deadline(timeout, timedOut, closing)
  const begin = async () => {
    await undefined
    return await work(limit.signal)
  }
  return await raceAbort(begin(), limit.signal)
}

export function timedOut(): CacheLoadError {
  return new CacheLoadError(
    'CACHE_ERR_LOAD_TIMEOUT',
    'the value was not loaded within timeout; let the loader honour ctx.signal, or set grace',
  )
}
