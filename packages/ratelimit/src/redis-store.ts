import type { RedisScript, ScriptClient } from '@cays/core/redis-script'
import { TimeLimit } from '@cays/core/time-limit'
import { Breaker } from './breaker.ts'
import { type LimitError, LimitUnavailableError } from './errors.ts'
import type { Outcome, Shape } from './operation.ts'
import { type Asked, Batch } from './redis-batch.ts'
import { bytesClient, connected, failureOf, type RedisClient } from './redis-client.ts'
import { decideScript } from './redis-decide.ts'
import { Reply } from './redis-reply.ts'
import { hashOf } from './subject.ts'

export interface RedisStoreOptions {
  readonly client: RedisClient
  readonly prefix: string
  readonly partitions: number
  /** Milliseconds one call may take. */
  readonly timeout: number
  readonly onFailure: (error: LimitError) => void
  /** Tests replace the script to control its clock or to break it. */
  readonly script?: RedisScript
}

// Operations of a turn: fewer are not worth a second call.
const WORTH_HALVING = 32

/**
 * Sends the operations of one event-loop turn together, in the order they were made: one script call on a
 * single server (two for many, when it is idle), one per partition on a cluster, at most 256 operations each.
 *
 * All keys of a subject live in its partition, `{n}` in the key, so a script call never spans two slots.
 */
export class RedisStore {
  readonly #options: RedisStoreOptions
  readonly #script: RedisScript
  readonly #client: ScriptClient
  readonly #timeLimit: TimeLimit
  readonly #breakers = new Map<number, Breaker>()
  readonly #flushLater = () => this.#flush()
  // What keys of each partition begin with.
  readonly #prefixes: readonly string[]
  #queue: Asked[] = []
  #inFlight = 0
  #idle: (() => void) | undefined
  #closed = false
  // Microseconds to add to this machine's clock to get the server's, for the calendar's boundaries only.
  #clockOffset = 0
  /** Script calls made so far. */
  calls = 0

  constructor(options: RedisStoreOptions) {
    this.#options = options
    this.#script = options.script ?? decideScript
    this.#client = bytesClient(options.client)
    this.#timeLimit = new TimeLimit(
      options.timeout,
      () => new LimitUnavailableError('LIMIT_ERR_TIMEOUT', 'Redis did not answer in time'),
    )
    this.#prefixes = Array.from({ length: options.partitions }, (_, n) => `${options.prefix}:{${n}}:`)
  }

  run(shape: Shape, subject: string): Promise<Outcome> {
    return new Promise((settle, fail) => this.submit({ shape, subject, settle, fail }))
  }

  /** The same as `run` without a promise, for the path where each counts. */
  submit(asked: Asked): void {
    if (this.#queue.push(asked) === 1) setImmediate(this.#flushLater)
  }

  /** Why the store cannot be asked right now; undefined when it can. */
  unavailable(subject: string): LimitError | undefined {
    if (!connected(this.#options.client)) {
      return new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'the connection to Redis is down')
    }
    if (this.#breakers.size === 0) return undefined
    const group = this.#options.client.isCluster ? hashOf(subject) % this.#options.partitions : 0
    if (!this.#breakers.get(group)?.open) return undefined
    return new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'Redis failed repeatedly and is being probed')
  }

  /** Whether some partition is cut off at the moment. */
  get degraded(): boolean {
    if (!connected(this.#options.client)) return true
    for (const breaker of this.#breakers.values()) if (breaker.open) return true
    return false
  }

  /** Waits for what was sent; sends what is queued. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#flush()
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    for (const breaker of this.#breakers.values()) breaker.end()
  }

  #flush(): void {
    const queue = this.#queue
    if (queue.length === 0) return
    this.#queue = []
    const { partitions, client } = this.#options
    const batches = new Map<number, Batch>()
    let batch: Batch | undefined
    const most = this.#batchSize(queue.length)
    for (const asked of queue) {
      const hash = hashOf(asked.subject)
      const partition = hash % partitions
      const group = client.isCluster ? partition : 0
      const prefix = this.#prefixes[partition] as string
      if (batch?.group !== group) batch = batches.get(group)
      if (batch?.add(asked, prefix, hash)) continue
      if (batch) void this.#send(batch)
      batch = new Batch(group, most)
      batch.add(asked, prefix, hash)
      batches.set(group, batch)
    }
    for (const rest of batches.values()) void this.#send(rest)
  }

  // How many operations of a turn one batch takes. A server with nothing to do gets a large turn in two halves:
  // it decides one while the other is on its way or being read, where both would wait for each other.
  #batchSize(count: number): number {
    const idle = this.#inFlight === 0 && !this.#options.client.isCluster
    return idle && count >= WORTH_HALVING ? Math.ceil(count / 2) : count
  }

  async #send(batch: Batch, again = false): Promise<void> {
    this.#inFlight++
    this.calls++
    const asked = performance.now() * 1_000
    try {
      const argument = batch.encode(Date.now() * 1_000 + this.#clockOffset)
      const answer = this.#script.run(this.#client, batch.keys, [argument])
      const reply = new Reply((await this.#timeLimit.race(answer)) as Uint8Array)
      this.#breakers.get(batch.group)?.succeeded()
      if (reply.done) {
        for (const one of batch.asked) one.settle(reply.outcome(one.shape, asked))
      } else if (again) {
        const jumps = 'the clock of Redis jumps while it is asked'
        this.#fail(batch, new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', jumps))
      } else {
        // The clocks are further apart than the calendar boundaries sent. Nothing was done: the batch is sent
        // again, ahead of what is queued, with those around the server's time.
        this.#clockOffset = reply.now - Date.now() * 1_000
        void this.#send(batch, true)
      }
    } catch (error) {
      const failure = failureOf(error)
      this.#breakerOf(batch).failed()
      this.#options.onFailure(failure)
      this.#fail(batch, failure)
    } finally {
      this.#inFlight--
      if (this.#inFlight === 0) this.#idle?.()
    }
  }

  #fail(batch: Batch, error: LimitError): void {
    for (const asked of batch.asked) asked.fail(error)
  }

  #breakerOf({ group, keys }: Batch): Breaker {
    let breaker = this.#breakers.get(group)
    if (!breaker) {
      // No operation, but a key of the group, so that a cluster asks the node concerned.
      const some = keys.slice(0, 1)
      breaker = new Breaker({
        threshold: 3,
        probe: () => this.#timeLimit.race(this.#script.run(this.#client, some, ['[[],[],false]'])),
      })
      this.#breakers.set(group, breaker)
    }
    return breaker
  }
}
