import { delay, raceAbort } from '@cays/core/abort'
import { backoff } from '@cays/core/backoff'
import pg, { type Client, type Notification } from 'pg'
import type { Checkout } from './dispatcher.ts'
import { UnavailableError } from './errors.ts'
import type { Server } from './server.ts'

/** What becomes of the notifications of one channel. */
export interface ListenOptions {
  /** Called with each payload, in order. */
  readonly message: (payload: string) => void
  /**
   * Called when the connection was lost and is back, perhaps to another primary. What was notified in between is lost:
   * read what may have changed.
   */
  readonly gap?: () => void
  /** Gives up waiting for the subscription to begin; it has no effect later. */
  readonly signal?: AbortSignal
}

/** A subscription that has begun. */
export interface Subscription extends AsyncDisposable {
  /** Stops the calls; the connection is given back with the last subscription. */
  close(): Promise<void>
}

export interface ListenerParts {
  /** A connection to the primary, waiting for one if need be. */
  readonly checkout: (signal: AbortSignal) => Promise<Checkout>
  /** A handler threw. */
  readonly failed: (error: unknown) => void
}

interface Held {
  readonly server: Server
  readonly client: Client
  /** It is of no more use. */
  readonly leave: () => void
}

/**
 * LISTEN on one connection to whichever server is the primary, for all channels of a router. It takes a connection of
 * the primary's pool while there is a subscription.
 */
export class Listener {
  readonly #parts: ListenerParts
  readonly #closing = new AbortController()
  readonly #channels = new Map<string, Set<ListenOptions>>()
  /** Channels of the present connection. */
  readonly #active = new Set<string>()
  /** Whoever has begun, and hears of gaps from then on. */
  readonly #begun = new WeakSet<ListenOptions>()
  #held: Held | undefined
  #loop: Promise<void> | undefined
  #waiting: (() => void)[] = []

  constructor(parts: ListenerParts) {
    this.#parts = parts
  }

  /** Resolves once what is notified from then on arrives. */
  async add(channel: string, options: ListenOptions): Promise<Subscription> {
    const all = this.#channels.get(channel) ?? new Set()
    this.#channels.set(channel, all.add(options))
    const close = async () => {
      if (!all.delete(options) || all.size > 0 || this.#channels.get(channel) !== all) return
      this.#channels.delete(channel)
      if (this.#channels.size === 0) this.#held?.leave()
      else if (this.#held) await this.#agree(this.#held).catch(() => {})
    }
    const { signal: closing } = this.#closing
    const signal = options.signal ? AbortSignal.any([options.signal, closing]) : closing
    try {
      this.#loop ??= this.#run()
      await raceAbort(this.#begin(channel), signal)
    } catch (error) {
      await close()
      throw error
    }
    this.#begun.add(options)
    return { close, [Symbol.asyncDispose]: close }
  }

  /** This is the primary now. */
  follow(primary: Server | undefined): void {
    if (this.#held && this.#held.server !== primary) this.#held.leave()
  }

  async close(): Promise<void> {
    this.#closing.abort(new UnavailableError('DB_ERR_CLOSED', 'listen: the router was closed'))
    this.#channels.clear()
    this.#held?.leave()
    await this.#loop
  }

  async #begin(channel: string): Promise<void> {
    while (!this.#active.has(channel) && !this.#closing.signal.aborted) {
      const next = new Promise<void>((resolve) => this.#waiting.push(resolve))
      if (this.#held) await this.#agree(this.#held).catch(() => {})
      else await next
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    for (let attempt = 0; this.#channels.size > 0 && !signal.aborted; attempt++) {
      try {
        await this.#serve(await this.#parts.checkout(signal))
        attempt = 0
      } catch {
        // There is no primary, or it was lost again; whoever subscribed goes on waiting.
      }
      if (this.#channels.size > 0) {
        await delay(backoff(attempt, { base: 50, cap: 1_000 }), { signal }).catch(() => {})
      }
    }
    this.#loop = undefined
  }

  /** Until the connection is lost or of no more use. */
  async #serve({ server, connection, release }: Checkout): Promise<void> {
    const { client } = connection
    const over = new Promise<void>((resolve) => {
      this.#held = { server, client, leave: resolve }
      for (const event of ['end', 'error'] as const) client.once(event, () => resolve())
    })
    const hear = (notification: Notification) => this.#hear(notification)
    client.on('notification', hear)
    try {
      await Promise.race([this.#agree(this.#held as unknown as Held), over])
      for (const all of this.#channels.values()) {
        for (const options of all) if (this.#begun.has(options)) this.#call(() => options.gap?.())
      }
      for (const begin of this.#waiting.splice(0)) begin()
      await over
    } finally {
      this.#held = undefined
      this.#active.clear()
      client.removeListener('notification', hear)
      release(true)
    }
  }

  /** Makes the connection listen to what is subscribed to, and to nothing else. */
  async #agree({ client }: Held): Promise<void> {
    for (const channel of [...this.#channels.keys()]) {
      if (this.#active.has(channel)) continue
      await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
      if (this.#held?.client === client) this.#active.add(channel)
    }
    for (const channel of [...this.#active]) {
      if (this.#channels.has(channel)) continue
      this.#active.delete(channel)
      await client.query(`UNLISTEN ${pg.escapeIdentifier(channel)}`)
    }
  }

  #hear({ channel, payload = '' }: Notification): void {
    for (const options of this.#channels.get(channel) ?? []) this.#call(() => options.message(payload))
  }

  #call(handler: () => void): void {
    try {
      handler()
    } catch (error) {
      this.#parts.failed(error)
    }
  }
}
