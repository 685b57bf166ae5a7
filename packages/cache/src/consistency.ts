import { encode } from './codec.ts'

/** How a sampled value in memory compared with its source. */
export type Consistency = 'same' | 'changed' | 'stale' | 'unknown'

/**
 * Compares one value in memory with what its loader says now. A difference may be a change whose invalidation is
 * on its way, so it is looked at again after the bound: `'changed'` when the value is gone by then, as it should,
 * `'stale'` when it is still there and a second load says again that it is wrong. `'unknown'` when the loader failed.
 */
export async function compare(parts: {
  readonly value: unknown
  readonly load: () => Promise<unknown>
  readonly bound: () => Promise<void>
  readonly stands: () => boolean
}): Promise<Consistency> {
  const { value, load, bound, stands } = parts
  try {
    const before = encode(value)
    if (encode(await load()) === before) return 'same'
    await bound()
    if (!stands()) return 'changed'
    if (encode(await load()) === before) return 'same'
    return stands() ? 'stale' : 'changed'
  } catch {
    return 'unknown'
  }
}
