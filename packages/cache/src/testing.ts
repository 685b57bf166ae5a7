import { FaultyClient, Gate } from './faulty-client.ts'
import { MemoryRedis, type Reply } from './memory-redis.ts'
import type { RedisClient } from './redis-client.ts'

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

class FaultyServer implements FaultyRedis {
  readonly clients = new Set<FaultyClient>()
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
    return new FaultyClient(this, new Gate())
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
