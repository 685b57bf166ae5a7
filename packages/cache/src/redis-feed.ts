import { randomBytes } from 'node:crypto'
import { LoadEnds } from './load-ends.ts'
import type { Settings } from './options.ts'
import { LOAD_ENDED, MARKERS, SYNC, WRITE } from './redis-scripts.ts'
import { RedisSubscription } from './redis-subscription.ts'
import type { RedisTier } from './redis-tier.ts'
import type { Timeline } from './timeline.ts'
import type { Warnings } from './warnings.ts'

export type ChangeKind = 'invalidate' | 'expire' | 'set' | 'tags' | 'clear'

/** One announced change. `names` are stored keys, or tags. */
export interface Change {
  readonly origin: string
  readonly kind: ChangeKind
  readonly names: readonly string[]
}

/** What a change does to Redis. A `set` without `put` has a value too large for Redis: the old one goes. */
export interface Write {
  readonly kind: ChangeKind
  readonly names: readonly string[]
  readonly put?: { readonly ttl: number; readonly whole: number; readonly body: string }
}

const KINDS: readonly ChangeKind[] = ['invalidate', 'expire', 'set', 'tags', 'clear']
const TOUCH: Readonly<Record<ChangeKind, string>> = {
  invalidate: 'drop',
  expire: 'expire',
  set: 'put',
  tags: 'none',
  clear: 'none',
}

/** Most messages one catch-up carries out; a node further behind drops its memory instead. */
const MAX_CATCH_UP = 5_000
const MAX_REMEMBERED = 10_000
/** Markers of tags that nobody touches go away; a missing one invalidates, so this costs hits, not truth. */
const MARKER_TTL = 30 * 86_400_000

/**
 * The sequenced invalidation feed of one namespace.
 *
 * Truth comes from SYNC, one small script that returns every change after the last one carried out here, or
 * says that they are no longer all known. While the cache is in use it runs three times per `maxStaleness`,
 * and memory counts as confirmed for `maxStaleness` from the moment it was *sent*. Pub/sub only makes changes
 * arrive in a millisecond instead: when it loses messages, breaks or hangs, the bound holds all the same.
 */
export class RedisFeed {
  /** Loads in other processes that somebody here waits for. */
  readonly ends = new LoadEnds()
  readonly origin: string = randomBytes(9).toString('base64url')
  readonly #tier: RedisTier
  readonly #timeline: Timeline
  readonly #settings: Settings['sync']
  readonly #apply: (change: Change, seq: number) => void
  #syncing: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #subscription: RedisSubscription
  readonly #warnings: Warnings
  readonly #remembered = new Set<string>()
  #silentMisses = 0
  #closed = false

  constructor(parts: {
    readonly tier: RedisTier
    readonly settings: Settings
    readonly timeline: Timeline
    readonly warnings: Warnings
    /** A change that was announced. */
    readonly apply: (change: Change, seq: number) => void
    /** Somebody wrote to these keys, and nothing was announced. */
    readonly forget: (keys: readonly string[]) => void
  }) {
    const { tier, settings, timeline, warnings, forget } = parts
    this.#tier = tier
    this.#timeline = timeline
    this.#settings = settings.sync
    this.#apply = parts.apply
    this.#warnings = warnings
    this.#subscription = new RedisSubscription({
      client: tier.client,
      channel: tier.keys.channel,
      tracked: settings.sync.tracking ? tier.keys.prefix : undefined,
      timeout: settings.l2.timeout,
      warnings,
      hearing: {
        message: (text) => this.#receive(text),
        written: (keys) => forget(keys.flatMap((key) => tier.keys.keyOf(key) ?? [])),
        missed: () => timeline.flush(),
      },
    })
  }

  get confirmed(): boolean {
    return performance.now() < this.#timeline.confirmedUntil
  }

  /** True when pub/sub is believed to work: changes then arrive in about a millisecond. */
  get subscribed(): boolean {
    return this.#subscription.subscribed
  }

  /** True while every write to a key of this namespace is told, whoever made it. */
  get tracking(): boolean {
    return this.#subscription.tracking
  }

  /** Catches up once; concurrent calls share one round trip. Never rejects: false when Redis did not answer. */
  confirm(): Promise<boolean> {
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined
    })
    return this.#syncing
  }

  /** Carries out a write in Redis and announces it. Rejects when Redis did not answer: the outcome is then open. */
  async write(write: Write): Promise<void> {
    const { client } = this.#tier
    const touched = write.kind === 'tags' || write.kind === 'clear' ? [] : write.names
    const tags = write.kind === 'tags' ? write.names : []
    const { ttl = 0, whole = 0, body = '' } = write.put ?? {}
    const touch = [write.kind === 'set' && !write.put ? 'drop' : TOUCH[write.kind], ttl, whole, body]
    if (client.isCluster) await Promise.all(touched.map((key) => this.#tier.writeKey(key, touch)))
    const { meta, feed, channel } = this.#tier.keys
    const together = client.isCluster ? [] : touched.flatMap((key) => this.#tier.keys.pair(key))
    const message = JSON.stringify([this.origin, KINDS.indexOf(write.kind), write.names])
    const begin = write.kind === 'clear' ? 1 : 0
    const reply = await this.#tier.run(
      WRITE,
      [meta, feed, ...tags.map((tag) => this.#tier.keys.tag(tag)), ...together],
      [...touch, channel, message, salt(), this.#settings.log, tags.length, MARKER_TTL, begin],
    )
    const [epoch, seq] = reply as [string, number]
    if (epoch !== this.#timeline.epoch) {
      await this.#follow(epoch)
      return
    }
    this.#apply({ origin: this.origin, kind: write.kind, names: write.names }, seq)
    if (seq === this.#timeline.applied + 1) this.#timeline.applied = seq
    else if (seq > this.#timeline.applied) void this.confirm()
  }

  /**
   * A write met another epoch, an older or a newer one: only SYNC, of which one runs at a time, can tell. Until
   * then nothing counts. The first may have been sent before the write.
   */
  async #follow(epoch: string): Promise<void> {
    const timeline = this.#timeline
    timeline.flush()
    timeline.confirmedUntil = Number.NEGATIVE_INFINITY
    if (!(await this.confirm()) || timeline.epoch !== epoch) await this.confirm()
  }

  /** The last invalidation of any of these tags, asked of Redis; creates markers that are missing. */
  async lastOf(tags: readonly string[]): Promise<number> {
    const { meta, feed } = this.#tier.keys
    const keys = [meta, feed, ...tags.map((tag) => this.#tier.keys.tag(tag))]
    const [epoch, ...markers] = (await this.#tier.run(MARKERS, keys, [salt(), MARKER_TTL])) as [
      string,
      ...number[],
    ]
    const last = Math.max(0, ...markers)
    const sameEpoch = epoch === this.#timeline.epoch
    if (!sameEpoch || last > this.#timeline.applied) await this.confirm()
    // Sequences of another epoch compare with nothing this process has.
    return sameEpoch ? last : Number.MAX_SAFE_INTEGER
  }

  /**
   * Sees to it that markers of these tags exist before a value is stored that knows the present sequence: a
   * process that starts later can then tell that nothing invalidated it. Never rejects. One round trip for tags
   * not seen before.
   */
  async remember(tags: readonly string[]): Promise<void> {
    const unknown = tags.filter((tag) => !this.#remembered.has(tag))
    if (unknown.length === 0) return
    if (this.#remembered.size > MAX_REMEMBERED) this.#remembered.clear()
    try {
      await this.lastOf(unknown)
      for (const tag of unknown) this.#remembered.add(tag)
    } catch {
      // Without a marker the value is refused by processes that start later: a load more, never a wrong value.
    }
  }

  /**
   * Called by every use of the cache that is not a plain memory hit, and by every failure; keeps the catch-up
   * going while the cache is in use, and until Redis has answered again.
   */
  start(): void {
    if (this.#timer || this.#closed) return
    const tick = () => {
      if (!this.#timeline.used && !this.#tier.failing) {
        clearInterval(this.#timer)
        this.#timer = undefined
        return
      }
      this.#timeline.used = false
      void this.confirm()
    }
    this.#timer = setInterval(tick, Math.ceil(this.#settings.maxStaleness / 3))
    this.#timer.unref()
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#subscription.close()
  }

  async #sync(): Promise<boolean> {
    if (this.#closed) return false
    const timeline = this.#timeline
    const { meta, feed } = this.#tier.keys
    const known = timeline.applied
    const knownEpoch = timeline.epoch
    const sent = performance.now()
    const whole = this.#subscription.whole()
    let reply: unknown
    try {
      reply = await this.#tier.run(SYNC, [meta, feed], [knownEpoch, known, salt(), MAX_CATCH_UP])
    } catch {
      return false
    }
    const [epoch, seq, complete, said, ...messages] = reply as [string, number, number, number, ...string[]]
    const heardAll = await whole
    if (timeline.epoch === knownEpoch) {
      if (complete !== 1) timeline.restart(epoch, seq)
      else this.#catchUp(known, seq, messages)
      if (!heardAll) timeline.flush()
      timeline.confirmedUntil = sent + this.#settings.maxStaleness
    }
    if (said !== 1) {
      this.#warnings.warn(
        'CACHE_WARN_INFO',
        'redis forbids its user INFO; after a restart or a failover that lost writes, old values count again',
      )
    }
    this.#subscription.start()
    return this.confirmed
  }

  #catchUp(known: number, seq: number, messages: readonly string[]): void {
    const timeline = this.#timeline
    let missed = 0
    for (const [i, message] of messages.entries()) {
      const at = known + 1 + i
      if (at <= timeline.applied) continue
      this.#carryOut(message, at)
      timeline.applied = at
      missed++
    }
    if (timeline.applied < seq) timeline.applied = seq
    // Changes that only SYNC brings, again and again, mean that pub/sub hangs without saying so.
    this.#silentMisses = missed > 0 ? this.#silentMisses + 1 : 0
    if (this.#silentMisses >= 3 && this.subscribed) {
      this.#silentMisses = 0
      this.#subscription.restart()
    }
  }

  #carryOut(message: string, seq: number): void {
    const [origin, kind, names] = JSON.parse(message) as [string, number, string[]]
    this.#apply({ origin, kind: KINDS[kind] ?? 'clear', names }, seq)
  }

  #receive(text: string): void {
    if (text.startsWith(LOAD_ENDED)) {
      this.ends.tell(text.slice(LOAD_ENDED.length))
      return
    }
    const afterEpoch = text.indexOf('|')
    const afterSeq = text.indexOf('|', afterEpoch + 1)
    const seq = Number(text.slice(afterEpoch + 1, afterSeq))
    const timeline = this.#timeline
    if (text.slice(0, afterEpoch) !== timeline.epoch) {
      void this.confirm()
      return
    }
    if (seq <= timeline.applied) return
    this.#carryOut(text.slice(afterSeq + 1), seq)
    // Dropping is never wrong, so a change that overtook others is carried out at once; SYNC brings the others.
    if (seq === timeline.applied + 1) timeline.applied = seq
    else void this.confirm()
  }
}

function salt(): string {
  return randomBytes(6).toString('base64url')
}
