import type { Operation } from './define-case.ts'

/** Runs an asynchronous operation with a fixed number of callers, each of which waits for its answer. */
export function inFlight(callers: number, once: (index: number) => Promise<unknown>): Operation['run'] {
  return async (count) => {
    let next = 0
    const caller = async () => {
      while (next < count) await once(next++)
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
}
