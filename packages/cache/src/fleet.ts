import { delay } from '@cays/core/abort'
import type { Settings } from './options.ts'
import { PendingWrites } from './pending-writes.ts'
import type { RedisClient } from './redis-client.ts'
import { type Change, RedisFeed, type Write } from './redis-feed.ts'
import { RedisTier } from './redis-tier.ts'
import type { Timeline } from './timeline.ts'
import type { Warnings } from './warnings.ts'

/**
 * How far a write got. `'fleet'`: Redis has it, and no node serves the old value `maxStaleness` later.
 * `'queued'`: Redis did not answer; this process no longer serves the old value, and Redis hears of it as soon
 * as it answers, unless this process ends first. `'deferred'`: it waits for the end of `cache.transaction`.
 */
export type Reach = 'fleet' | 'queued' | 'deferred'

/**
 * This process's tie to the other ones, through Redis: the tier, the feed, and what Redis has yet to hear.
 * After a failure it waits, replays what is pending, catches up, and only then lets reads back to Redis.
 */
export class Fleet {
  readonly tier: RedisTier
  readonly feed: RedisFeed
  readonly #pending: PendingWrites
  readonly #retryAfter: number
  readonly #closing: AbortSignal
  #recovering = false
  #replaying = false

  constructor(parts: {
    readonly client: RedisClient
    readonly settings: Settings
    readonly timeline: Timeline
    readonly closing: AbortSignal
    readonly warnings: Warnings
    readonly apply: (change: Change, seq: number) => void
    readonly forget: (keys: readonly string[]) => void
  }) {
    this.tier = new RedisTier(parts.client, parts.settings)
    this.feed = new RedisFeed({ ...parts, tier: this.tier })
    this.#pending = new PendingWrites(parts.settings.l2.queue)
    this.#retryAfter = parts.settings.l2.retryAfter
    this.#closing = parts.closing
    // Else a cache that nobody uses any more would report the failure of its last call for ever.
    this.tier.events.on('failing', () => this.feed.start())
    this.tier.events.on('down', () => this.#recover())
  }

  /** True while Redis answers and has heard of every write of this process: else its values prove nothing. */
  get usable(): boolean {
    return this.tier.state === 'up' && this.#pending.size === 0 && !this.#replaying
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Carries a write out and applies it here, too; or queues it. */
  async write(write: Write): Promise<'fleet' | 'queued'> {
    try {
      await this.feed.write(write)
      return 'fleet'
    } catch {
      this.#pending.add(write)
      this.#recover()
      return 'queued'
    }
  }

  close(): void {
    this.feed.close()
  }

  #recover(): void {
    if (this.#recovering) return
    this.#recovering = true
    this.#untilUsable().catch(() => {})
  }

  async #untilUsable(): Promise<void> {
    let wait = Math.min(50, this.#retryAfter)
    try {
      do {
        await delay(wait, { signal: this.#closing, unref: true })
        wait = this.#retryAfter
        const { client } = this.tier
        // ioredis' own back-off grows to seconds; a cache that could be used again need not wait for it.
        if (client.status === 'reconnecting') client.connect().catch(() => {})
        this.tier.try()
        if ((await this.#replay()) && (await this.feed.confirm())) this.tier.up()
      } while (!this.usable)
    } finally {
      // In the same step as the look at `usable`: what fails from now on begins anew.
      this.#recovering = false
    }
  }

  async #replay(): Promise<boolean> {
    this.#replaying = true
    try {
      for (let write = this.#pending.take(); write; write = this.#pending.take()) {
        try {
          await this.feed.write(write)
        } catch {
          this.#pending.add(write)
          return false
        }
      }
      return true
    } finally {
      this.#replaying = false
    }
  }
}
