import { delay } from '@cays/core/abort'
import { TestkitError } from './errors.ts'

export interface WaitOptions {
  /** Milliseconds. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  /** Milliseconds between two looks. @default 15 */
  readonly every?: number
}

/**
 * Looks again and again until `look` resolves to something but `undefined` or `false`, and resolves to that. A
 * look that throws is a look in vain: servers refuse connections while they start, and vote while they elect.
 * `TESTKIT_ERR_TIMEOUT` names the `state` and carries the last failure as its cause.
 */
export async function waitUntil<T>(
  state: string,
  look: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const { timeout, signal, every = 15 } = options
  const end = performance.now() + timeout
  for (;;) {
    let cause: unknown
    try {
      const seen = await look()
      if (seen !== undefined && seen !== false) return seen
    } catch (error) {
      cause = error
    }
    if (performance.now() >= end) {
      throw new TestkitError('TESTKIT_ERR_TIMEOUT', `${state}: not so within ${timeout} ms`, { cause })
    }
    await delay(every, { signal })
  }
}
