import type { Events } from '@cays/core/events'
import type { CacheEvents } from './cache.ts'
import type { Envelopes } from './envelope.ts'
import { CacheUsageError } from './errors.ts'
import type { Fleet, Reach } from './fleet.ts'
import type { MemoryTier } from './memory-tier.ts'
import type { Settings } from './options.ts'
import { type Plan, staleFor, ttlOf } from './plan.ts'
import type { ReadThrough } from './read-through.ts'
import type { Change, Write } from './redis-feed.ts'
import { misfitOf, unfit } from './schema.ts'
import { WRITES } from './telemetry.ts'
import type { Timeline } from './timeline.ts'
import { Transactions } from './transactions.ts'
import { OVERSIZE, type Warnings } from './warnings.ts'

/** What writes work with. */
interface WriteParts {
  readonly memory: MemoryTier
  readonly timeline: Timeline
  /** None without Redis. */
  readonly fleet: Fleet | undefined
  readonly reads: ReadThrough
  readonly envelopes: Envelopes
  readonly settings: Settings
  readonly warnings: Warnings
  readonly events: Events<CacheEvents>
}

/** The write path: this process's own writes, and those it is told of. */
export class Writes {
  readonly transactions: Transactions
  readonly #parts: WriteParts

  constructor(parts: WriteParts) {
    this.#parts = parts
    this.transactions = new Transactions(parts.settings.l2.queue, (write) => this.#carryOut(write))
  }

  /** Carries a write out, at the end of the transaction if there is one. */
  async write(write: Write): Promise<Reach> {
    if (write.names.length === 0 && write.kind !== 'clear') return 'fleet'
    return this.transactions.defers(write) ? 'deferred' : await this.#carryOut(write)
  }

  /** With `mustFit`, refuses a value that Redis would not get. */
  async set(
    key: string,
    value: unknown,
    { freshness, tags, schema }: Plan,
    mustFit: boolean,
  ): Promise<Reach> {
    const { envelopes, fleet, memory, reads, settings, timeline, warnings } = this.#parts
    const misfit = await misfitOf(schema, value)
    if (misfit) throw unfit(misfit)
    if (this.transactions.defers({ kind: 'set', names: [key] })) return 'deferred'
    const packed = fleet ? await envelopes.pack(value) : undefined
    if (fleet && packed === undefined) {
      if (mustFit) throw tooLarge()
      warnings.warn('CACHE_WARN_ENTRY_BYTES', OVERSIZE)
    }
    if (fleet?.usable && !fleet.feed.confirmed) await fleet.feed.confirm()
    if (fleet?.usable) await fleet.feed.remember(tags)
    reads.void(key)
    const fence = reads.fences.open(key)
    try {
      const { generation, applied: knows, epoch } = timeline
      const ttl = ttlOf(value, freshness, undefined)
      const sent = performance.now()
      let write: Write = { kind: 'set', names: [key] }
      let reach: 'fleet' | 'queued' = 'fleet'
      if (fleet) {
        // A value too large for Redis stays in memory; what Redis had goes all the same.
        if (packed !== undefined) {
          const about = { seq: knows, tags, grace: undefined, took: undefined }
          const body = envelopes.seal(key, epoch, about, packed)
          const put = { ttl: Math.ceil(ttl), whole: Math.ceil(ttl + staleFor(freshness, undefined)), body }
          write = { ...write, put }
        }
        reach = await fleet.write(write)
      }
      const { voided } = fence
      // Reads that began before the write reached Redis must not put the old value over the new one.
      reads.void(key)
      if (voided) memory.delete(key)
      else {
        memory.set(key, {
          value,
          freshUntil: sent + ttl,
          earlyAt: sent + ttl,
          checkAt: sent + ttl,
          currentUntil: sent + settings.sync.maxStaleness,
          generation,
          grace: undefined,
          tags,
          knows,
        })
      }
      return this.#reached(write, reach)
    } finally {
      fence.close()
    }
  }

  /** A change another process announced, or this one's own coming back. */
  receive(change: Change, seq: number): void {
    const { events, fleet } = this.#parts
    const own = change.origin === fleet?.feed.origin
    if (own && change.kind === 'set') return
    this.#applyToKeys(change)
    this.#applyToTags(change, seq)
    if (!own) events.emit('invalidated', { kind: change.kind, names: change.names, local: false })
  }

  /** Somebody wrote to these keys, and nothing was announced. */
  forget(keys: readonly string[]): void {
    this.#applyToKeys({ kind: 'invalidate', names: keys })
  }

  async #carryOut(write: Write): Promise<'fleet' | 'queued'> {
    const { fleet, timeline } = this.#parts
    // Before, so that nothing read from now on in this process is older than this call; and after, for what
    // was read between this line and the moment Redis carried it out.
    this.#applyToKeys(write)
    if (!fleet) {
      this.#applyToTags(write, ++timeline.applied)
      return this.#reached(write, 'fleet')
    }
    const reach = await fleet.write(write)
    this.#applyToKeys(write)
    // Without a sequence there is no telling which entries are older than the tags' invalidation: all go.
    if (reach === 'queued' && (write.kind === 'tags' || write.kind === 'clear')) timeline.flush()
    return this.#reached(write, reach)
  }

  #reached(write: Write, reach: 'fleet' | 'queued'): 'fleet' | 'queued' {
    const { events, settings } = this.#parts
    events.emit('invalidated', { kind: write.kind, names: write.names, local: true })
    if (WRITES.active) {
      const attributes = { 'cache.operation': write.kind, 'cache.reach': reach }
      WRITES.publish({ instance: settings.name, attributes })
    }
    return reach
  }

  #applyToKeys({ kind, names }: Pick<Change, 'kind' | 'names'>): void {
    if (kind === 'tags' || kind === 'clear') return
    const { memory, reads } = this.#parts
    for (const key of names) {
      reads.void(key)
      if (kind === 'expire') memory.expire(key)
      else memory.delete(key)
    }
  }

  #applyToTags({ kind, names }: Pick<Change, 'kind' | 'names'>, seq: number): void {
    const { timeline } = this.#parts
    if (kind === 'clear') timeline.flush()
    if (kind === 'tags') for (const tag of names) timeline.mark(tag, seq)
  }
}

function tooLarge(): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ERR_TOO_LARGE',
    'the value is larger than l2.maxEntryBytes, so that no other process could read it; keep less in it',
  )
}
