import { delay } from '@cays/core/abort'
import { ownConnection, type RedisClient } from './redis-client.ts'

export interface SubscriberOptions {
  readonly client: RedisClient
  /** Milliseconds between two checks of the connection, and the longest an answer may take. */
  readonly heartbeat: number
  readonly message: (channel: string, message: string) => void
  /** The connection was lost and every channel is subscribed again. */
  readonly resumed: (channels: readonly string[]) => void
}

interface Wanted {
  readonly acknowledged: Promise<void>
  readonly acknowledge: () => void
}

const BATCH = 500

/**
 * The one subscribing connection of a node. It keeps its own list of channels, subscribes them again after
 * a reconnect, and finds a connection that is silently dead by a ping.
 */
export class RedisSubscriber {
  readonly #options: SubscriberOptions
  readonly #connection: RedisClient
  readonly #wanted = new Map<string, Wanted>()
  readonly #unsent = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #generation = 0
  #up = false
  #closed = false

  constructor(options: SubscriberOptions) {
    this.#options = options
    this.#connection = ownConnection(options.client, 'subscriber')
    this.#connection.on('message', options.message as (...args: unknown[]) => void)
    this.#connection.on('ready', () => void this.#connected(++this.#generation))
    this.#connection.on('close', () => {
      this.#generation++
      this.#up = false
    })
    this.#timer = setInterval(() => void this.#check(), options.heartbeat)
    this.#timer.unref()
  }

  get up(): boolean {
    return this.#up
  }

  /** Resolves when the channel is subscribed, now or after the next reconnect. */
  subscribe(channel: string): Promise<void> {
    let wanted = this.#wanted.get(channel)
    if (!wanted) {
      let acknowledge = () => {}
      const acknowledged = new Promise<void>((resolve) => {
        acknowledge = resolve
      })
      wanted = { acknowledged, acknowledge }
      this.#wanted.set(channel, wanted)
      if (this.#up) this.#queue(channel)
    }
    return wanted.acknowledged
  }

  async unsubscribe(channel: string): Promise<void> {
    if (!this.#wanted.delete(channel)) return
    if (this.#unsent.delete(channel) || !this.#up) return
    // A failure means that the connection is going down, and with it the subscription.
    await this.#connection.unsubscribe(channel).catch(() => {})
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    this.#connection.disconnect()
  }

  // Channels wanted in the same tick travel in one command.
  #queue(channel: string): void {
    if (this.#unsent.size === 0) setImmediate(() => void this.#flush())
    this.#unsent.add(channel)
  }

  async #flush(): Promise<void> {
    const channels = [...this.#unsent]
    this.#unsent.clear()
    await this.#send(channels).catch(() => this.#reset())
  }

  async #send(channels: readonly string[]): Promise<void> {
    for (let at = 0; at < channels.length; at += BATCH) {
      const batch = channels.slice(at, at + BATCH)
      await this.#connection.subscribe(...batch)
      for (const channel of batch) this.#wanted.get(channel)?.acknowledge()
    }
  }

  async #connected(generation: number): Promise<void> {
    try {
      const channels = [...this.#wanted.keys()]
      this.#unsent.clear()
      this.#up = true
      await this.#send(channels)
      if (generation === this.#generation) this.#options.resumed(channels)
    } catch {
      if (generation === this.#generation) this.#reset()
    }
  }

  async #check(): Promise<void> {
    if (!this.#up) return
    const generation = this.#generation
    const stop = new AbortController()
    const answer = await Promise.race([
      this.#connection.ping().then(
        () => true,
        () => false,
      ),
      delay(this.#options.heartbeat, { signal: stop.signal, unref: true }).then(
        () => false,
        () => false,
      ),
    ])
    stop.abort()
    if (!answer && generation === this.#generation) this.#reset()
  }

  #reset(): void {
    if (this.#closed) return
    this.#up = false
    this.#connection.disconnect(true)
  }
}
