import { EventEmitter } from 'node:events'
import type { Reply } from './memory-redis.ts'
import type { RedisClient, RedisSubscriber } from './redis-client.ts'

/** A way that can be closed; who comes meanwhile waits, in the order of coming. */
export class Gate {
  /** Until it is open again. */
  closed: Promise<void> | undefined
  #open: () => void = () => {}

  close(): void {
    this.closed ??= new Promise((resolve) => {
      this.#open = resolve
    })
  }

  open(): void {
    this.closed = undefined
    this.#open()
  }
}

/** What a client needs of its server. */
interface Server {
  readonly clients: Set<FaultyClient>
  readonly answering: Gate
  readonly running: Gate
  /** Milliseconds that everything takes. */
  readonly delay: number
  command(name: string, parts: readonly unknown[]): Reply
}

/** Where RESP2 tells of written keys. */
const WRITTEN = '__redis__:invalidate'

type Listener = (...payload: never[]) => void

/** A connection to a server in memory, and what may become of it. */
export class FaultyClient implements RedisClient, RedisSubscriber {
  status = 'ready'
  readonly #server: Server
  /** Of the process, for all its connections. */
  readonly #way: Gate
  readonly #events = new EventEmitter()
  readonly #channels = new Set<string>()
  #tracked: string | undefined
  #last = 0

  constructor(server: Server, way: Gate) {
    this.#server = server
    this.#way = way
    server.clients.add(this)
    if (server.running.closed) this.#reconnect()
  }

  cut(): void {
    this.#way.close()
  }

  mend(): void {
    this.#way.open()
  }

  evalsha(...parts: readonly unknown[]): Promise<unknown> {
    return this.#send(() => this.#server.command('evalsha', parts))
  }

  eval(...parts: readonly unknown[]): Promise<unknown> {
    return this.#send(() => this.#server.command('eval', parts))
  }

  pipeline(commands: unknown[][]) {
    const run = ([name, ...parts]: readonly unknown[]): readonly [Error | null, unknown] => {
      try {
        return [null, this.#server.command(String(name), parts)]
      } catch (error) {
        return [error as Error, undefined]
      }
    }
    return { exec: () => this.#send(() => commands.map(run)) }
  }

  call(_command: string, ...parts: string[]): Promise<unknown> {
    return this.#send(() => {
      if (parts[0] === 'TRACKING') this.#tracked = parts.at(-1)
      return parts[0] === 'ID' ? 1 : 'OK'
    })
  }

  ping(): Promise<unknown> {
    return this.#send(() => this.#server.command('ping', []))
  }

  subscribe(channel: string): Promise<unknown> {
    return this.#send(() => this.#channels.add(channel).size)
  }

  duplicate(): RedisSubscriber {
    const subscriber = new FaultyClient(this.#server, this.#way)
    subscriber.#reconnect()
    return subscriber
  }

  async connect(): Promise<void> {
    if (this.#server.running.closed) throw new Error('connect ECONNREFUSED')
  }

  on(event: string, listener: Listener): this {
    this.#events.on(event, listener as (...payload: unknown[]) => void)
    return this
  }

  off(event: string, listener: Listener): this {
    this.#events.off(event, listener as (...payload: unknown[]) => void)
    return this
  }

  disconnect(reconnect = false): void {
    if (reconnect) {
      this.lose()
      return
    }
    this.status = 'end'
    this.#channels.clear()
    this.#server.clients.delete(this)
    this.#events.emit('close')
    this.#events.emit('end')
  }

  /** The connection breaks. */
  lose(): void {
    this.#channels.clear()
    this.#tracked = undefined
    this.#events.emit('close')
    if (this.status !== 'end') this.#reconnect()
  }

  /** Of a subscribed channel. */
  hear(channel: string, event: string, payload: readonly unknown[]): void {
    if (!this.#channels.has(channel) || this.#way.closed) return
    const { delay } = this.#server
    const deliver = () => {
      if (this.#channels.has(channel)) this.#events.emit(event, ...payload)
    }
    if (delay > 0) setTimeout(deliver, delay)
    else queueMicrotask(deliver)
  }

  /** CLIENT TRACKING in broadcasting mode. */
  notice(key: string): void {
    if (this.#tracked === undefined || !key.startsWith(this.#tracked)) return
    this.hear(WRITTEN, 'messageBuffer', [Buffer.from(WRITTEN), [Buffer.from(key)]])
  }

  #reconnect(): void {
    this.status = 'reconnecting'
    void this.#arrive().then(() => {
      if (this.status !== 'reconnecting') return
      this.status = 'ready'
      this.#events.emit('ready')
    })
  }

  async #send<T>(work: () => T): Promise<T> {
    await this.#arrive()
    if (this.status === 'end') throw new Error('Connection is closed.')
    return work()
  }

  /** Takes its time; what was sent first arrives first. */
  async #arrive(): Promise<void> {
    const now = performance.now()
    this.#last = Math.max(this.#last, now + this.#server.delay)
    if (this.#last > now) await new Promise((resolve) => setTimeout(resolve, this.#last - now))
    const { running, answering } = this.#server
    do await (this.#way.closed ?? running.closed ?? answering.closed)
    while (this.#way.closed ?? running.closed ?? answering.closed)
  }
}
