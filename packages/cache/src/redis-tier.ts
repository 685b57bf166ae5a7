import { randomBytes } from 'node:crypto'
import { messageOf } from '@cays/core/error'
import { Events } from '@cays/core/events'
import type { RedisScript } from '@cays/core/redis-script'
import { TimeLimit } from '@cays/core/time-limit'
import { CacheError } from './errors.ts'
import type { Settings } from './options.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisKeys } from './redis-keys.ts'
import { groupByNode, readOfNode } from './redis-node-reads.ts'
import { FILL, READ, READ_ONE, RELEASE, RENEW, WRITE_KEY } from './redis-scripts.ts'

export type ReadState = 'fresh' | 'leased' | 'held' | 'failed' | 'missing'

/** What a server has of one key. */
export interface RawValue {
  /** Server's clock, to turn the value's expiry into a time left. */
  readonly now: number
  /** Empty when there is none. */
  readonly raw: string
}

export interface Reading extends RawValue {
  readonly state: ReadState
  readonly failure?: { readonly message: string; readonly left: number }
}

type State = 'up' | 'down' | 'trying'

/**
 * The second tier as operations with a deadline and a breaker. Every method rejects with `CACHE_ERR_REDIS`
 * within `timeout`; none ever waits in ioredis' offline queue, where a command could run minutes later.
 */
export class RedisTier {
  readonly client: RedisClient
  readonly events = new Events<{ failing: CacheError; down: CacheError; up: undefined }>()
  readonly keys: RedisKeys
  readonly #settings: Settings['l2']
  readonly #timeLimit: TimeLimit
  #state: State = 'up'
  #failures = 0
  #lastError: CacheError | undefined
  #readying: Promise<void> | undefined

  constructor(client: RedisClient, settings: Settings) {
    this.client = client
    this.#settings = settings.l2
    this.keys = new RedisKeys(settings)
    this.#timeLimit = new TimeLimit(
      settings.l2.timeout,
      () => new CacheError('CACHE_ERR_REDIS', 'redis did not answer in time; see l2.timeout'),
    )
  }

  get state(): State {
    return this.#state
  }

  /** True from the first failure until the next success. */
  get failing(): boolean {
    return this.#failures > 0 || this.#state !== 'up'
  }

  get lastError(): CacheError | undefined {
    return this.#lastError
  }

  async read(key: string, epoch: string, token: string, atLeast: number, early: number): Promise<Reading> {
    const keys = this.keys.pair(key)
    const sent = this.#whenReady(() =>
      READ.run(this.client, keys, [epoch, token, this.#settings.lease, atLeast, early]),
    )
    try {
      return readingOf(await this.#within(sent))
    } catch (error) {
      // A reply that comes after the deadline may carry a lease that nobody will use: hand it back.
      if (token) {
        sent.then(
          (reply) => {
            if (readingOf(reply).state === 'leased') this.release(key, token, 0, '').catch(() => {})
          },
          () => {},
        )
      }
      throw error
    }
  }

  /**
   * One round trip; on a Cluster one per node at the same time, and a node that does not answer costs only its
   * own keys. Empty strings where there is nothing.
   */
  async readMany(keys: readonly string[], epoch: string): Promise<readonly RawValue[]> {
    const { client } = this
    const valueKeys = keys.map((key) => this.keys.value(key))
    const readings: RawValue[] = valueKeys.map(() => NOTHING)
    /** Resolves to the positions of keys that have to be asked for elsewhere. */
    const read = async (positions: readonly number[]): Promise<readonly number[]> => {
      const group = positions.map((position) => valueKeys[position] as string)
      const { now, values } = await this.#within(this.#whenReady(() => readOfNode(client, group, epoch)))
      for (const [i, position] of positions.entries()) readings[position] = { now, raw: values[i] ?? '' }
      return positions.filter((_, i) => values[i] === undefined)
    }
    const groups = client.isCluster ? groupByNode(client, valueKeys) : [[...valueKeys.keys()]]
    const answers = await Promise.allSettled(groups.map(read))
    // A slot moved: ioredis finds out where to when it is asked for one key alone.
    const moved = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    await Promise.allSettled(
      moved.map(async (position) => {
        const [now, raw] = (await this.run(READ_ONE, [valueKeys[position] as string], [epoch])) as [
          number,
          string,
        ]
        readings[position] = { now, raw }
      }),
    )
    return readings
  }

  /** False when the lease was voided meanwhile: the value may be stale and must not be kept. */
  async fill(key: string, token: string, ttl: number, whole: number, body: string): Promise<boolean> {
    const { channel } = this.keys
    return (await this.run(FILL, this.keys.pair(key), [token, ttl, whole, body, channel, key])) === 1
  }

  async renew(key: string, token: string): Promise<boolean> {
    return (await this.run(RENEW, [this.keys.pair(key)[1]], [token, this.#settings.lease])) === 1
  }

  async release(key: string, token: string, backoff: number, message: string): Promise<void> {
    const { channel } = this.keys
    await this.run(RELEASE, [this.keys.pair(key)[1]], [token, backoff, message, channel, key])
  }

  /** One key's part of a write, where the key does not share the namespace's slot. */
  async writeKey(key: string, args: readonly (string | number)[]): Promise<void> {
    await this.run(WRITE_KEY, this.keys.pair(key), args)
  }

  newToken(): string {
    return randomBytes(12).toString('base64url')
  }

  run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#within(this.#whenReady(() => script.run(this.client, keys, args)))
  }

  /** Lets operations through again to find out whether Redis is back; `up()` or the next failure decides. */
  try(): void {
    if (this.#state === 'down') this.#state = 'trying'
  }

  /** The caller saw Redis answer and has caught up. */
  up(): void {
    this.#failures = 0
    if (this.#state === 'up') return
    this.#state = 'up'
    this.events.emit('up', undefined)
  }

  async #whenReady<T>(send: () => Promise<T>): Promise<T> {
    if (this.#state === 'down') throw new CacheError('CACHE_ERR_REDIS', 'redis is left alone after failures')
    if (this.client.status !== 'ready') await this.#ready()
    return await send()
  }

  /** A client that has yet to connect may do so within the deadline; one that lost its connection may not. */
  #ready(): Promise<void> {
    this.#readying ??= this.#becomeReady().finally(() => {
      this.#readying = undefined
    })
    return this.#readying
  }

  async #becomeReady(): Promise<void> {
    const { client } = this
    if (client.status === 'wait') client.connect().catch(() => {})
    const failed = () =>
      new CacheError('CACHE_ERR_REDIS', 'redis is not connected; look at the client and its address')
    if (client.status !== 'connecting' && client.status !== 'connect') throw failed()
    await new Promise<void>((resolve, reject) => {
      const settle = (outcome: () => void) => () => {
        client.off('ready', ready)
        client.off('close', lost)
        client.off('end', lost)
        outcome()
      }
      const ready = settle(resolve)
      const lost = settle(() => reject(failed()))
      client.on('ready', ready)
      client.on('close', lost)
      client.on('end', lost)
    })
  }

  async #within<T>(sent: Promise<T>): Promise<T> {
    try {
      const reply = await this.#timeLimit.race(sent)
      if (this.#state === 'up') this.#failures = 0
      return reply
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #failed(thrown: unknown): CacheError {
    const error =
      thrown instanceof CacheError
        ? thrown
        : new CacheError('CACHE_ERR_REDIS', `redis failed: ${messageOf(thrown)}`, { cause: thrown })
    if (this.#state === 'down') return error
    this.#lastError = error
    // A full server answers and reads; there is nothing to wait for.
    if (thrown instanceof Error && thrown.message.startsWith('OOM')) return error
    this.#failures++
    if (this.#failures === 1) this.events.emit('failing', error)
    if (this.#state === 'trying' || this.#failures >= this.#settings.failures) {
      const before = this.#state
      this.#state = 'down'
      if (before === 'up') this.events.emit('down', error)
    }
    return error
  }
}

const NOTHING: RawValue = { now: 0, raw: '' }

function readingOf(reply: unknown): Reading {
  const [state, now, raw, message, left] = reply as [ReadState, number, string, string?, number?]
  if (message === undefined) return { state, now, raw }
  return { state, now, raw, failure: { message, left: left ?? 0 } }
}
