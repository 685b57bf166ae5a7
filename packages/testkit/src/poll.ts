import { delay } from '@cays/core/abort'
import { TestkitError } from './errors.ts'

export interface PollOptions {
  /** What is awaited, for the message when it does not come. */
  readonly until: string
  /** Milliseconds. @default 15_000 */
  readonly timeout?: number
  /** Milliseconds between two looks. @default 10 */
  readonly interval?: number
  readonly signal?: AbortSignal | undefined
}

/** Looks again and again until the answer is neither `undefined` nor `false`, and resolves with it. */
export async function poll<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  options: PollOptions,
): Promise<T> {
  const { until, timeout = 15_000, interval = 10, signal } = options
  const end = performance.now() + timeout
  for (;;) {
    signal?.throwIfAborted()
    const answer = await look()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() >= end) {
      throw new TestkitError('TESTKIT_ERR_TIMEOUT', `waited ${timeout} ms in vain until ${until}`)
    }
    await delay(interval, { signal })
  }
}
