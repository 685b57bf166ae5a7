import type { RedisScript, ScriptClient } from '@cays/core/redis-script'
import { Breaker } from './breaker.ts'
import { type LimitError, LimitUnavailableError } from './errors.ts'
import type { Outcome, Shape } from './operation.ts'
import { bytesClient, connected, failureOf, type RedisClient } from './redis-client.ts'
import { decideScript } from './redis-decide.ts'
import { Reply } from './redis-reply.ts'
import { hashOf, keyForm } from './subject.ts'

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

/** An operation on one subject, and who asked: exactly one of `settle` and `fail` is called, once. */
export interface Asked {
  readonly shape: Shape
  /** In the form that `subjectForm` gives it. */
  readonly subject: string
  settle(outcome: Outcome): void
  fail(error: LimitError): void
}

// A call blocks Redis while it runs: these keep it below about a millisecond.
const MAX_OPERATIONS = 256
const MAX_KEYS = 2_048
const MAX_SHAPES = 64

/** Operations that travel in one call, in the order they were made. */
class Batch {
  readonly group: number
  readonly asked: Asked[] = []
  readonly keys: string[] = []
  readonly #shapes: Shape[] = []
  #order = ''

  constructor(group: number) {
    this.group = group
  }

  /** False when it is full. */
  add(asked: Asked, prefix: string): boolean {
    const { shape } = asked
    let index = this.#shapes.indexOf(shape)
    if (
      this.asked.length === MAX_OPERATIONS ||
      this.keys.length + shape.slots.length > MAX_KEYS ||
      (index === -1 && this.#shapes.length === MAX_SHAPES)
    ) {
      return false
    }
    if (index === -1) index = this.#shapes.push(shape) - 1
    this.asked.push(asked)
    this.#order += String.fromCharCode(48 + index)
    const start = prefix + keyForm(asked.subject)
    for (const { suffix } of shape.slots) this.keys.push(start + suffix)
    return true
  }

  /** The script's arguments, for a server whose clock shows about that time. */
  arguments(now: number): readonly string[] {
    return [`[${this.#shapes.map((shape) => shape.encode(now)).join(',')}]`, this.#order]
  }
}

/**
 * Sends the operations of one event-loop turn together: one script call on a single server, one per
 * partition on a cluster, at most 256 operations each, in the order they were made.
 *
 * All keys of a subject live in its partition, `{n}` in the key, so a script call never spans two slots.
 */
export class RedisStore {
  readonly #options: RedisStoreOptions
  readonly #script: RedisScript
  readonly #client: ScriptClient
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
    const group = this.#options.client.isCluster ? this.#partitionOf(subject) : 0
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

  #partitionOf(subject: string): number {
    return hashOf(subject) % this.#options.partitions
  }

  #flush(): void {
    const queue = this.#queue
    if (queue.length === 0) return
    this.#queue = []
    const { isCluster } = this.#options.client
    const batches = new Map<number, Batch>()
    let batch: Batch | undefined
    for (const asked of queue) {
      const partition = this.#partitionOf(asked.subject)
      const group = isCluster ? partition : 0
      const prefix = this.#prefixes[partition] as string
      if (batch?.group !== group) batch = batches.get(group)
      if (batch?.add(asked, prefix)) continue
      if (batch) void this.#send(batch)
      batch = new Batch(group)
      batch.add(asked, prefix)
      batches.set(group, batch)
    }
    for (const rest of batches.values()) void this.#send(rest)
  }

  async #send(batch: Batch, again = false): Promise<void> {
    this.#inFlight++
    this.calls++
    const asked = performance.now() * 1_000
    try {
      const args = batch.arguments(Date.now() * 1_000 + this.#clockOffset)
      const answer = this.#script.run(this.#client, batch.keys, args)
      const reply = new Reply((await this.#timed(answer)) as Uint8Array)
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

  #timed<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new LimitUnavailableError('LIMIT_ERR_TIMEOUT', 'Redis did not answer in time'))
      }, this.#options.timeout)
      work.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  #breakerOf({ group, keys }: Batch): Breaker {
    let breaker = this.#breakers.get(group)
    if (!breaker) {
      // No operation, but a key of the group, so that a cluster asks the node concerned.
      const some = keys.slice(0, 1)
      breaker = new Breaker({
        threshold: 3,
        probe: () => this.#timed(this.#script.run(this.#client, some, ['[]', ''])),
      })
      this.#breakers.set(group, breaker)
    }
    return breaker
  }
}
