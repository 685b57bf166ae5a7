import { TimeLimit } from '@cays/core/time-limit'
import type { RedisClient, RedisSubscriber } from './redis-client.ts'
import type { Warnings } from './warnings.ts'

/** What is heard on the connection. */
export interface Hearing {
  /** A message of the namespace's channel. */
  message(text: string): void
  /** Somebody wrote to these Redis keys. */
  written(keys: readonly string[]): void
  /** Anybody may have written to any key. */
  missed(): void
}

/** Where Redis tells a connection of RESP2 which of the keys it tracks were written. */
const WRITTEN = '__redis__:invalidate'

/**
 * ioredis leaves the promises of its own resubscription to nobody: a connection closed meanwhile ended the process.
 * What it sends, or sends again, on a new connection was meant for the one before; and its RESP3 drops what Redis
 * pushes about keys.
 */
const OWN = {
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  lazyConnect: false,
  protocol: 2,
}

/**
 * The cache's own connection to Redis, on which it hears of changes in a millisecond. It promises nothing but this:
 * when `whole` resolves to true, every write to a tracked key before that call has been told.
 */
export class RedisSubscription {
  readonly #client: RedisClient
  readonly #channel: string
  readonly #tracked: string | undefined
  readonly #timeLimit: TimeLimit
  readonly #hearing: Hearing
  readonly #warnings: Warnings
  #connection: RedisSubscriber | undefined
  /** How often it broke: what was begun before then means nothing after it. */
  #breaks = 0
  #subscribed = false
  #tracking = false
  #closed = false

  constructor(parts: {
    readonly client: RedisClient
    readonly channel: string
    /** Keys that begin like this are tracked. */
    readonly tracked: string | undefined
    readonly timeout: number
    readonly hearing: Hearing
    readonly warnings: Warnings
  }) {
    this.#client = parts.client
    this.#channel = parts.channel
    this.#tracked = parts.tracked
    this.#timeLimit = new TimeLimit(parts.timeout, () => new Error('redis did not answer in time'))
    this.#hearing = parts.hearing
    this.#warnings = parts.warnings
  }

  /** True while messages are believed to arrive. */
  get subscribed(): boolean {
    return this.#subscribed
  }

  get tracking(): boolean {
    return this.#tracking
  }

  /** Connects, unless it is connected or about to be. */
  start(): void {
    if (this.#connection || this.#closed) return
    const client = this.#client
    const connection = client.duplicate(...((client.isCluster ? [[], OWN] : [OWN]) as never[]))
    this.#connection = connection
    connection.on('error', () => {
      // ioredis reconnects by itself and SYNC keeps the bound meanwhile.
    })
    connection.on('message', (from, message) => {
      if (from === this.#channel) this.#hearing.message(message)
    })
    connection.on('messageBuffer', (from, keys) => {
      if (String(from) !== WRITTEN) return
      if (Array.isArray(keys)) this.#hearing.written(keys.map(String))
      else this.#hearing.missed()
    })
    connection.on('close', () => {
      this.#breaks++
      this.#subscribed = false
      this.#tracking = false
    })
    connection.on('ready', () => void this.#subscribe(connection))
    connection.on('end', () => {
      if (this.#connection === connection) this.#connection = undefined
    })
  }

  /** Connects anew: it hangs without saying so. */
  restart(): void {
    this.#connection?.disconnect(true)
  }

  async whole(): Promise<boolean> {
    if (this.#tracked === undefined) return true
    const connection = this.#connection
    if (!connection || !this.#tracking) return false
    try {
      // On the same connection: what Redis had to tell before comes before the answer.
      await this.#timeLimit.race(connection.ping())
      return this.#tracking
    } catch {
      connection.disconnect(true)
      return false
    }
  }

  close(): void {
    this.#closed = true
    this.#connection?.disconnect()
  }

  async #subscribe(connection: RedisSubscriber): Promise<void> {
    const breaks = this.#breaks
    const same = () => this.#breaks === breaks
    const tracking = this.#tracked !== undefined && (await this.#track(connection, this.#tracked, same))
    if (!same()) return
    try {
      await connection.subscribe(this.#channel)
      if (!same()) return
      this.#subscribed = true
    } catch (error) {
      if (!same()) return
      if (!isForbidden(error)) {
        connection.disconnect()
        return
      }
      this.#warnings.warn(
        'CACHE_WARN_PUBSUB',
        'redis forbids its user to subscribe; other nodes notice changes within maxStaleness, not at once',
      )
    }
    if (!tracking) return
    this.#tracking = true
    this.#hearing.missed()
  }

  /** The id is that of one connection: another one, perhaps to another server, has another. */
  async #track(connection: RedisSubscriber, prefix: string, same: () => boolean): Promise<boolean> {
    try {
      const id = String(await connection.call('CLIENT', 'ID'))
      if (!same()) return false
      await connection.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', prefix)
      if (!same()) return false
      await connection.subscribe(WRITTEN)
      return same()
    } catch (error) {
      if (same() && isAnswer(error)) {
        this.#warnings.warn(
          'CACHE_WARN_TRACKING',
          'redis refuses CLIENT TRACKING; memory is emptied three times per maxStaleness instead',
        )
      }
      return false
    }
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOPERM')
}

/** Redis said no, in contrast to a connection that broke. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && /^(?:NOPERM|ERR) /.test(error.message)
}
