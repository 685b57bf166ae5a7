import { raceAbort } from '@cays/core/abort'
import { type CacheKey, plainKey } from './key.ts'
import type { GetOrSetOptions, Loader } from './plan.ts'
import type { CallOptions, Space } from './space.ts'

/** More keys than this in one memo and the oldest are asked for anew. */
const MAX = 10_000

/**
 * Reads of one request: each key is asked for once, and everybody who asks gets the same answer, the same object
 * or the same failure, whatever is invalidated meanwhile. See `cache.memo`.
 */
export interface Memo {
  /** As `cache.getOrSet`; of several calls for one key the first counts. */
  getOrSet<T>(key: string, load: Loader<T>, options?: GetOrSetOptions): Promise<T>
  /** As `space.get`. */
  get<Id, T>(space: Space<Id, T>, id: Id, options?: CallOptions): Promise<T>
  /** Asks for this key anew: after this request changed it. */
  forget(key: CacheKey): void
}

export function createMemo(getOrSet: Memo['getOrSet']): Memo {
  const answers = new Map<string, Promise<unknown>>()
  const once = <T>(key: string, read: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    let answer = answers.get(key) as Promise<T> | undefined
    if (!answer) {
      // Without the caller's signal: the next one shares the answer.
      answer = read()
      answers.set(key, answer)
      if (answers.size > MAX) {
        for (const oldest of answers.keys()) {
          answers.delete(oldest)
          break
        }
      }
    }
    return signal ? raceAbort(answer, signal) : answer
  }
  return {
    getOrSet: (key, load, { signal, ...options } = {}) =>
      once(plainKey(key), () => getOrSet(key, load, options), signal),
    get: (space, id, { signal } = {}) => once(plainKey(space.keyOf(id)), () => space.get(id), signal),
    forget: (key) => void answers.delete(plainKey(key)),
  }
}
