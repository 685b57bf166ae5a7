import type { Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Duration } from '@cays/core/duration'
import type { Lifecycle } from '@cays/core/lifecycle'
import { optionReader } from './errors.ts'
import { FaultConnection, type FaultDirection } from './fault-connection.ts'
import { type LaneFaults, NO_FAULTS } from './fault-lane.ts'
import { freePort } from './ports.ts'

/** What happens to the bytes of one direction; `undefined` leaves a fault as it is, and 0 or `false` ends it. */
export interface Faults {
  /** Every byte, and the end of the stream, arrives that much later. */
  readonly latency?: Duration | undefined
  /** Up to that much is added to the latency, by a fresh draw for each chunk; order is kept. */
  readonly jitter?: Duration | undefined
  /** Bytes per second of each connection. */
  readonly bandwidth?: number | undefined
  /** At most that many bytes at a time, with that much time between; 0 ends it. */
  readonly drip?: { readonly bytes: number; readonly every: Duration } | 0 | undefined
  /**
   * Nothing arrives and nobody is told: not the bytes, nor that a side has closed. New clients are accepted and
   * wait. Nothing is lost either: what was sent arrives once it ends, as when a broken line is mended.
   */
  readonly blackhole?: boolean | undefined
  /** Each connection is reset once that many more bytes have passed. */
  readonly cutAfter?: number | undefined
}

/** What a proxy has done, and what it holds. */
export interface FaultProxyStats {
  /** Connections open now. */
  readonly open: number
  /** Connections accepted since the start. */
  readonly accepted: number
  /** Bytes delivered to the server and to clients since the start. */
  readonly toServer: number
  readonly toClient: number
  /** Bytes that wait in the proxy now. */
  readonly held: number
}

/** What a proxy is made from. */
export interface FaultProxyContext {
  readonly target: { readonly host: string; readonly port: number }
  /** The URL whose host and port are replaced in `url`. */
  readonly model: string | undefined
  readonly capacity: number
  readonly random: () => number
  readonly lifecycle: Lifecycle
}

/**
 * A TCP proxy on 127.0.0.1 that can misbehave in every way a network does. Faults may change at any time; they
 * hold for open connections, for what already waits in them, and for new ones.
 *
 * Each direction of a connection holds a bounded number of bytes; then its sender is no longer read, and feels
 * it. Bytes are never reordered, altered or doubled.
 */
export class FaultProxy implements AsyncDisposable {
  readonly host: '127.0.0.1' = '127.0.0.1'
  readonly #context: FaultProxyContext
  readonly #connections = new Set<FaultConnection>()
  readonly #faults: Record<FaultDirection, Readonly<LaneFaults>> = {
    toServer: NO_FAULTS,
    toClient: NO_FAULTS,
  }
  readonly #passed: Record<FaultDirection, number> = { toServer: 0, toClient: 0 }
  #listener: Server | undefined
  #port = 0
  #accepted = 0

  /** @internal */
  constructor(context: FaultProxyContext) {
    this.#context = context
    context.lifecycle.onClose(() => {
      this.refuse()
      this.reset()
    })
  }

  /** Given by the system; it stays the same when connections are refused and accepted again. */
  get port(): number {
    return this.#port
  }

  /** The target's URL with the proxy in its place; `tcp://…` when the target was given without a URL. */
  get url(): string {
    return this.urlOf(this.#context.model ?? `tcp://${this.host}`)
  }

  get stats(): FaultProxyStats {
    let held = 0
    for (const connection of this.#connections) held += connection.held
    return { open: this.#connections.size, accepted: this.#accepted, ...this.#passed, held }
  }

  /** Any URL with the proxy's host and port: other credentials, another database. */
  urlOf(url: string): string {
    const [, before = '', after = ''] =
      /^([a-z][a-z0-9+.-]*:\/\/(?:[^@/?#]*@)?)[^/?#]*(.*)$/is.exec(url) ?? []
    return `${before}${this.host}:${this.#port}${after}`
  }

  /** Changes faults at once, in one direction or in both. Throws `TESTKIT_ERR_OPTIONS`. */
  set(faults: Faults, direction: FaultDirection | 'both' = 'both'): void {
    this.#context.lifecycle.assertOpen()
    const directions: readonly FaultDirection[] =
      direction === 'both' ? ['toServer', 'toClient'] : [direction]
    for (const one of directions) this.#faults[one] = { ...this.#faults[one], ...resolved(faults) }
    for (const connection of this.#connections) connection.refresh()
  }

  /** Ends all connections in good order (FIN); what was under way is lost. New ones are still accepted. */
  cut(): void {
    for (const connection of this.#connections) connection.cut()
  }

  /** Resets all connections (RST), as when the peer's machine has restarted. New ones are still accepted. */
  reset(): void {
    for (const connection of this.#connections) connection.reset()
  }

  /** Refuses new connections (ECONNREFUSED) until {@link accept}; open ones go on. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  /** Accepts new connections again, on the same port. */
  async accept(): Promise<void> {
    this.#context.lifecycle.assertOpen()
    if (this.#listener) return
    for (let attempt = 1; ; attempt++) {
      const port = this.#port === 0 ? await freePort() : this.#port
      try {
        const listener = await this.#listen(port)
        if (this.#context.lifecycle.state !== 'open' || this.#listener) {
          listener.close()
          this.#context.lifecycle.assertOpen()
          return
        }
        this.#listener = listener
        this.#port = port
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === 5) throw error
      }
    }
  }

  /** Ends all faults and accepts connections again. Connections that were cut stay so. */
  async heal(): Promise<void> {
    for (const direction of ['toServer', 'toClient'] as const) this.#faults[direction] = NO_FAULTS
    for (const connection of this.#connections) connection.refresh()
    await this.accept()
  }

  /** Resets all connections and lets go of the port; idempotent. */
  close(): Promise<void> {
    return this.#context.lifecycle.close()
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #listen(port: number): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true }, (client) => this.#welcome(client))
      server.once('error', reject)
      server.listen({ port, host: this.host, backlog: 4_096 }, () => resolve(server))
    })
  }

  #welcome(client: Socket): void {
    this.#accepted++
    const { target, capacity, random } = this.#context
    const connection = new FaultConnection(client, {
      target,
      capacity,
      random,
      faults: (direction) => this.#faults[direction],
      passed: (direction, bytes) => {
        this.#passed[direction] += bytes
      },
      closed: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }
}

function resolved(faults: Faults): Partial<LaneFaults> {
  const read = optionReader('faults')
  read.known(faults, ['latency', 'jitter', 'bandwidth', 'drip', 'blackhole', 'cutAfter'])
  const { latency, jitter, bandwidth, drip, blackhole, cutAfter } = faults
  const none = NO_FAULTS
  const partial: Partial<LaneFaults> = {}
  if (latency !== undefined) partial.latency = read.duration('latency', latency, 0)
  if (jitter !== undefined) partial.jitter = read.duration('jitter', jitter, 0)
  if (bandwidth !== undefined) partial.bandwidth = read.number('bandwidth', bandwidth, 0) || none.bandwidth
  if (blackhole !== undefined) partial.blackhole = read.boolean('blackhole', blackhole, false)
  if (cutAfter !== undefined) partial.cutAfter = read.integer('cutAfter', cutAfter, 0) || none.cutAfter
  if (drip !== undefined) {
    if (drip !== 0) read.known(drip, ['bytes', 'every'], 'drip')
    partial.dripBytes = drip === 0 ? none.dripBytes : read.integer('drip.bytes', drip.bytes, 1, { min: 1 })
    partial.dripEvery = drip === 0 ? 0 : read.duration('drip.every', drip.every, 0)
  }
  return partial
}
