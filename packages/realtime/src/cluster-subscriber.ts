import { delay } from '@cays/core/abort'
import { ownConnection, type RedisClient } from './redis-client.ts'
import type { SubscriberOptions } from './redis-subscriber.ts'

/**
 * Sharded pub/sub of a cluster: each channel is subscribed at the primary of its slot. ioredis follows the
 * slots and subscribes again after a migration or a failover, but does not say when it is done; so a change
 * of its subscribers asks for a look at the history twice, soon and a little later.
 */
export class ClusterSubscriber {
  readonly #options: SubscriberOptions
  readonly #connection: RedisClient
  readonly #wanted = new Map<string, Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #closed = false

  constructor(options: SubscriberOptions) {
    this.#options = options
    this.#connection = ownConnection(options.client, 'subscriber')
    this.#connection.on('smessage', options.message as (...args: unknown[]) => void)
    for (const event of ['subscribersReady', '-subscriber', '-node', 'ready']) {
      this.#connection.on(event, () => this.#changed())
    }
  }

  get up(): boolean {
    return this.#connection.status === 'ready'
  }

  subscribe(channel: string): Promise<void> {
    let wanted = this.#wanted.get(channel)
    if (!wanted) {
      wanted = this.#subscribe(channel)
      this.#wanted.set(channel, wanted)
    }
    return wanted
  }

  async unsubscribe(channel: string): Promise<void> {
    if (this.#wanted.delete(channel)) await this.#connection.sunsubscribe(channel).catch(() => {})
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#connection.disconnect()
  }

  async #subscribe(channel: string): Promise<void> {
    // The caller enters the promise into the map before the first answer can come.
    await Promise.resolve()
    const own = this.#wanted.get(channel)
    while (!this.#closed && this.#wanted.get(channel) === own) {
      try {
        await this.#connection.ssubscribe(channel)
        return
      } catch {
        // ioredis keeps a failed channel on its list; taken off, it is not there twice.
        await this.#connection.sunsubscribe(channel).catch(() => {})
        await delay(100, { unref: true })
      }
    }
  }

  #changed(): void {
    if (this.#closed || this.#timers.size > 0) return
    for (const wait of [100, 1_000]) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.#options.resumed([...this.#wanted.keys()])
      }, wait)
      timer.unref()
      this.#timers.add(timer)
    }
  }
}
