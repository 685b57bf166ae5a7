import { EventEmitter } from 'node:events'
import { MemoryRedis, type Reply } from './memory-redis.ts'
import type { RedisClient, RedisSubscriber } from './redis-client.ts'

/** One process's client of a {@link FaultyRedis}; pass it to `createCache`. */
export interface FaultyRedisClient extends RedisClient {
  /** Cuts this process off on half-open connections: what it sends waits, and it hears of nothing. */
  cut(): void
  /** What waited is carried out now; what was published meanwhile is lost. */
  mend(): void
}

/** A Redis in memory that misbehaves on demand; see {@link faultyRedis}. */
export interface FaultyRedis {
  /** A client, as one process would have it: caches of one name on two of them are two nodes. */
  client(): FaultyRedisClient
  /** Ends the server: connections break, and none can be made until `up`. It keeps what it holds. */
  down(): void
  /** Starts it again. */
  up(): void
  /** Connections stay, and nothing is answered. */
  freeze(): void
  /** Carries out what was sent meanwhile. */
  thaw(): void
  /** From now on commands and messages take so many milliseconds on their way. */
  lag(milliseconds: number): void
  /** The next messages, all of them unless a number is given, reach nobody. */
  loseMessages(count?: number): void
  /**
   * Another run of the server, without its last `lose` writes: what a crash leaves, and what a failover to a
   * replica that lagged looks like. Connections break and are made again. @default nothing is lost
   */
  restart(options?: { readonly lose?: number | 'everything' }): void
  /** From now on there is no room for anything new, as under `maxmemory` with `noeviction`. */
  fill(): void
  /** There is room again. */
  free(): void
  /** Removes the keys that `match`, as an eviction does, or a writer who does not use this package; tells how many. */
  evict(match: (key: string) => boolean): number
  /** The keys that Redis holds. */
  readonly keys: readonly string[]
}

/**
 * A Redis for tests of your own app: no server, no port, and faults at the word. A cache on it runs all of its own
 * code; only the server is replaced, by one in memory that knows the commands of this package and nothing else.
 * The package's own tests hold its answers against those of a real one.
 *
 * Nothing it does needs a timer unless `lag` is set, so with fake timers a test neither sleeps nor waits. It is one
 * server: not a Cluster, not Sentinel.
 *
 * ```ts
 * const redis = faultyRedis()
 * const here = createCache({ name: 'shop', redis: redis.client() })
 * const there = createCache({ name: 'shop', redis: redis.client() })
 * redis.freeze()
 * ```
 */
export function faultyRedis(): FaultyRedis {
  return new FaultyServer()
}

/** A way that can be closed; who comes meanwhile waits, in the order of coming. */
class Gate {
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

class FaultyServer implements FaultyRedis {
  readonly clients = new Set<Client>()
  readonly answering = new Gate()
  readonly running = new Gate()
  delay = 0
  readonly #memory = new MemoryRedis({
    published: (channel, message) => this.#published(channel, message),
    written: (key) => {
      for (const client of this.clients) client.notice(key)
    },
  })
  #lost = 0

  client(): FaultyRedisClient {
    return new Client(this, new Gate())
  }

  command(name: string, parts: readonly unknown[]): Reply {
    return this.#memory.command(name, parts)
  }

  down(): void {
    this.running.close()
    for (const client of [...this.clients]) client.lose()
  }

  up(): void {
    this.answering.open()
    this.running.open()
  }

  freeze(): void {
    this.answering.close()
  }

  thaw(): void {
    this.answering.open()
  }

  lag(milliseconds: number): void {
    this.delay = milliseconds
  }

  loseMessages(count = Number.POSITIVE_INFINITY): void {
    this.#lost = count
  }

  restart({ lose = 0 }: { readonly lose?: number | 'everything' } = {}): void {
    this.down()
    this.#memory.restart(lose)
    this.up()
  }

  fill(): void {
    this.#memory.full = true
  }

  free(): void {
    this.#memory.full = false
  }

  evict(match: (key: string) => boolean): number {
    const keys = this.keys.filter(match)
    this.#memory.evict(keys)
    return keys.length
  }

  get keys(): readonly string[] {
    return this.#memory.keys
  }

  #published(channel: string, message: string): void {
    if (this.#lost > 0) {
      this.#lost--
      return
    }
    for (const client of this.clients) client.hear(channel, 'message', [channel, message])
  }
}

/** Where RESP2 tells of written keys. */
const WRITTEN = '__redis__:invalidate'

type Listener = (...payload: never[]) => void

class Client implements FaultyRedisClient, RedisSubscriber {
  status = 'ready'
  readonly #server: FaultyServer
  /** Of the process, for all its connections. */
  readonly #way: Gate
  readonly #events = new EventEmitter()
  readonly #channels = new Set<string>()
  #tracked: string | undefined
  #last = 0

  constructor(server: FaultyServer, way: Gate) {
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
    const subscriber = new Client(this.#server, this.#way)
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
