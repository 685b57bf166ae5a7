import { raceDeadline } from '@cays/core/abort'
import { type RedisScript, redisScript, type ScriptClient } from '@cays/core/redis-script'
import { connected, type RedisClient } from './redis-client.ts'

// One sorted set of node ids by the time they were last seen. ARGV: id, milliseconds a node counts as live;
// an empty lifetime takes the node out. Answers { live nodes, 1 if this one was not among them before }.
const LUA = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
local new = redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { redis.call('ZCARD', KEYS[1]), new }
`

export const nodesScript: RedisScript = redisScript(LUA)

export interface NodesOptions {
  readonly client: ScriptClient & Pick<RedisClient, 'status'>
  readonly key: string
  readonly id: string
  /** Milliseconds between heartbeats; a node counts as live for three of them. */
  readonly interval: number
  /** Milliseconds one heartbeat may take. */
  readonly timeout: number
}

/**
 * How many processes share the limits right now, by heartbeats in Redis. While Redis is gone the last count
 * stands: that is what it is for.
 */
export class Nodes {
  readonly #options: NodesOptions
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #count = 1
  // Of the last heartbeat that was answered: when it was sent; and since when this node has been counted by all
  // others without a break.
  #sent = Number.NEGATIVE_INFINITY
  #member = Number.POSITIVE_INFINITY

  constructor(options: NodesOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  /**
   * This node's part of a whole, such that the parts of all nodes never add up to more; 0 while it is not known.
   *
   * A count stands for two intervals after it was asked for, and a node takes part once it has been counted for
   * as long: so whoever takes part now was there when each count that stands was made.
   */
  share(now: number): number {
    const term = 2 * this.#options.interval
    return now - this.#sent <= term && now - this.#member >= term ? 1 / this.#count : 0
  }

  /** Begins with the first decision, not at construction: a limiter nobody uses does no I/O. */
  start(): void {
    if (this.#timer) return
    this.#timer = setInterval(() => void this.beat(), this.#options.interval)
    this.#timer.unref()
    void this.beat()
  }

  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async stop(): Promise<void> {
    if (!this.#timer) return
    clearInterval(this.#timer)
    // Out of courtesy to the others: without it they notice after three heartbeats.
    await this.#send('').catch(() => {})
  }

  async #beat(): Promise<void> {
    try {
      const sent = performance.now()
      // Strings from a client that is set to `stringNumbers`.
      const answer = (await this.#send(this.#options.interval * 3)) as (number | string)[]
      const [count = 1, isNew] = answer.map(Number)
      // New again after a pause longer than its life, or because Redis lost its data.
      if (isNew === 1) this.#member = performance.now()
      this.#sent = sent
      this.#count = count
    } catch {
      // The decisions' own calls report the failure; the last known count stands.
    }
  }

  async #send(lifetime: number | ''): Promise<unknown> {
    const { client, key, id, timeout } = this.#options
    if (!connected(client)) throw new Error('not connected')
    const answer = nodesScript.run(client, [key], [id, lifetime])
    return await raceDeadline(answer, timeout, () => new Error('no answer in time'))
  }
}
