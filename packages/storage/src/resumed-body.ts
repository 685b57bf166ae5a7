import { delay } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import { StorageError } from './errors.ts'
import type { ByteRange, ObjectHead, Provider } from './provider.ts'

/** Times that a broken download goes on without having got any further. */
const FRUITLESS = 3

/**
 * The bytes of one object from `range.start` on. When the connection breaks it goes on where it broke, and only
 * with the very object it began with (`If-Match`): bytes of two objects are never mixed.
 */
export async function* resumedBody(
  provider: Provider,
  head: ObjectHead,
  first: AsyncIterable<Uint8Array>,
  range: ByteRange | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let body = first
  let at = range?.start ?? 0
  const last = Math.min(range?.end ?? head.size - 1, head.size - 1)
  for (let fruitless = 0; ; fruitless++) {
    try {
      for await (const chunk of body) {
        at += chunk.length
        fruitless = 0
        yield chunk
      }
      return
    } catch (error) {
      signal?.throwIfAborted()
      const retryable = error instanceof StorageError && error.retryable
      if (!retryable || fruitless >= FRUITLESS || at > last) throw error
    }
    await delay(backoff(fruitless, { base: 100, cap: 2_000 }), { signal })
    body = await reopened(provider, head, { start: at, end: last }, signal)
  }
}

async function reopened(
  provider: Provider,
  head: ObjectHead,
  range: ByteRange,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  try {
    return (await provider.get(head.key, { range, ifMatch: head.etag }, signal)).body
  } catch (cause) {
    if (!(cause instanceof StorageError && cause.code === 'STORAGE_ERR_PRECONDITION')) throw cause
    throw new StorageError(
      'STORAGE_ERR_PRECONDITION',
      'the object was replaced while it was read; read it again',
      { cause },
    )
  }
}
