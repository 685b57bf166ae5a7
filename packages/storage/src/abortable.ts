/** Bytes that are there, or that arrive. */
export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** The bytes until the caller has enough of it; then the signal's reason is thrown. */
export async function* abortable(body: Bytes, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    signal?.throwIfAborted()
    yield chunk
  }
}
