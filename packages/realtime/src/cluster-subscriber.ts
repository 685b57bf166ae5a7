import { randomBytes } from 'node:crypto'
import { delay } from '@cays/core/abort'
import { ownConnection, type RedisClient } from './redis-client.ts'
import type { SubscriberOptions } from './redis-subscriber.ts'

export interface ClusterSubscriberOptions extends SubscriberOptions {
  /** Publishes over another connection; resolves when the server has taken it. */
  readonly say: (channel: string, message: string) => Promise<unknown>
}

/**
 * Sharded pub/sub of a cluster: each channel is subscribed at the primary of its slot. ioredis follows the
 * slots and subscribes again after a migration or a failover, but does not say when it is done; so a change
 * of its subscribers asks for a look at the history twice, soon and a little later.
 *
 * ioredis does not notice either when a connection to a shard is silently dead. So the subscriber says something to
 * itself through every part of the keyspace it listens to; where it was said and not heard, all connections
 * are replaced.
 */
export class ClusterSubscriber {
  readonly #options: ClusterSubscriberOptions
  readonly #name = randomBytes(9).toString('base64url')
  readonly #wanted = new Map<string, Promise<void>>()
  readonly #echoes = new Map<string, () => void>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #heartbeat: NodeJS.Timeout
  #connection: RedisClient
  #checking = false
  #deaf = false
  #closed = false

  constructor(options: ClusterSubscriberOptions) {
    this.#options = options
    this.#connection = this.#open()
    this.#heartbeat = setInterval(() => void this.#check(), options.heartbeat)
    this.#heartbeat.unref()
  }

  get up(): boolean {
    return this.#connection.status === 'ready' && !this.#deaf
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
    clearInterval(this.#heartbeat)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#connection.disconnect()
  }

  #open(): RedisClient {
    const connection = ownConnection(this.#options.client, 'subscriber')
    connection.on('smessage', (...args: unknown[]) => {
      const [channel, message] = args as [string, string]
      const heard = this.#echoes.get(channel)
      if (heard) heard()
      else this.#options.message(channel, message)
    })
    for (const event of ['subscribersReady', '-subscriber', '-node', 'ready']) {
      connection.on(event, () => this.#changed())
    }
    return connection
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

  async #check(): Promise<void> {
    if (this.#checking) return
    this.#checking = true
    const connection = this.#connection
    const echoes = new Set([...this.#wanted.keys()].map((channel) => this.#echoOf(channel)))
    const deaf = (await Promise.all([...echoes].map((echo) => this.#isDeaf(connection, echo)))).includes(true)
    this.#checking = false
    if (this.#closed) return
    this.#deaf = deaf
    if (deaf) this.#replace(connection)
  }

  // A channel of its own in the slot of a channel.
  #echoOf(channel: string): string {
    return `${channel.slice(0, channel.indexOf('}') + 1)}:e:${this.#name}`
  }

  async #isDeaf(connection: RedisClient, echo: string): Promise<boolean> {
    const { heartbeat, say } = this.#options
    const stop = new AbortController()
    const late = delay(heartbeat, { signal: stop.signal, unref: true }).then(
      () => true,
      () => false,
    )
    const heard = new Promise<boolean>((resolve) => this.#echoes.set(echo, () => resolve(false)))
    try {
      const subscribed = connection.ssubscribe(echo).then(() => false)
      if (await Promise.race([subscribed, late])) return true
      // A server that takes nothing is no matter of the subscriber.
      if (await Promise.race([say(echo, '').then(() => false), late])) return false
      return await Promise.race([heard, late])
    } catch {
      return false
    } finally {
      stop.abort()
      this.#echoes.delete(echo)
      void connection.sunsubscribe(echo).catch(() => {})
    }
  }

  #replace(deaf: RedisClient): void {
    this.#connection = this.#open()
    deaf.disconnect()
    const channels = [...this.#wanted.keys()]
    for (const channel of channels) this.#wanted.set(channel, this.#subscribe(channel))
    void Promise.all(this.#wanted.values()).then(() => {
      if (!this.#closed) this.#options.resumed(channels)
    })
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
