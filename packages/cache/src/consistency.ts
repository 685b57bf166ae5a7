import { delay } from '@cays/core/abort'
import { encode } from './codec.ts'
import { withinTimeout } from './load-deadline.ts'
import type { Entry, MemoryTier } from './memory-tier.ts'
import type { Settings } from './options.ts'
import type { Loader, Plan } from './plan.ts'
import { CHECKS } from './telemetry.ts'

/** How a sampled value in memory compared with its source. */
export type Consistency = 'same' | 'changed' | 'stale' | 'unknown'

/**
 * Compares one value in memory with what its loader says now. A difference may be a change whose invalidation is
 * on its way, so it is looked at again after the bound: `'changed'` when the value is gone by then, as it should,
 * `'stale'` when it is still there and a second load says again that it is wrong. `'unknown'` when the loader failed.
 */
async function compare(parts: {
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

/** What a check grants an invalidation beyond the bound: a busy process hears of it late and serves nothing, too. */
const LATE = 500

/** The checks of `sync.check`, one at a time. */
export class Checks {
  readonly counts: Record<Consistency, number> = { same: 0, changed: 0, stale: 0, unknown: 0 }
  readonly #memory: MemoryTier
  readonly #settings: Settings
  readonly #closing: AbortSignal
  #running = false

  constructor(parts: {
    readonly memory: MemoryTier
    readonly settings: Settings
    readonly closing: AbortSignal
  }) {
    this.#memory = parts.memory
    this.#settings = parts.settings
    this.#closing = parts.closing
  }

  /** Holds a value against its source, unless another one is. */
  async hold<T>(entry: Entry, key: string, load: Loader<T>, { freshness }: Plan): Promise<void> {
    if (this.#running) return
    this.#running = true
    const nothing = () => {}
    const context = { tag: nothing, ttl: nothing, grace: nothing, previous: undefined }
    const { maxStaleness } = this.#settings.sync
    const found = await compare({
      value: entry.value,
      load: () => withinTimeout((signal) => load({ ...context, signal }), freshness.timeout, this.#closing),
      bound: () => delay(maxStaleness + LATE, { signal: this.#closing, unref: true }),
      stands: () => this.#memory.standing(key) === entry && performance.now() < entry.freshUntil,
    })
    this.#running = false
    this.counts[found]++
    if (CHECKS.active) {
      CHECKS.publish({ instance: this.#settings.name, attributes: { 'cache.check': found } })
    }
  }
}
