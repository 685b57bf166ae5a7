import type { Operation } from './define-case.ts'

/**
 * Runs an asynchronous operation with a fixed number of callers, each of which waits for its answer and, with
 * `inspect`, looks at it.
 */
export function inFlight<Answer>(
  callers: number,
  once: (index: number) => Promise<Answer>,
  inspect?: (answer: Answer) => void,
): Operation['run'] {
  return async (count) => {
    let next = 0
    const caller = async () => {
      while (next < count) {
        const answer = await once(next++)
        inspect?.(answer)
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
}
