import { messageOf } from '@cays/core/error'
import type { RedisScript } from '@cays/core/redis-script'
import { Breaker } from './breaker.ts'
import { type LimitError, LimitUnavailableError } from './errors.ts'
import type { State } from './kernel.ts'
import { MODE, type Outcome, type Shape, type Slot, type SlotOutcome } from './operation.ts'
import { INTERNALS } from './policy.ts'
import { connected, type RedisClient } from './redis-client.ts'
import { decideScript } from './redis-decide.ts'
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

/** Who asked: exactly one of the two is called, once. */
export interface Receiver {
  settle(outcome: Outcome): void
  fail(error: LimitError): void
}

class Pending {
  readonly shape: Shape
  readonly subject: string
  readonly partition: number
  readonly receiver: Receiver
  stale = false

  constructor(shape: Shape, subject: string, partition: number, receiver: Receiver) {
    this.shape = shape
    this.subject = subject
    this.partition = partition
    this.receiver = receiver
  }
}

// A call blocks Redis while it runs: these keep it below about a millisecond.
const MAX_OPERATIONS = 256
const MAX_KEYS = 2_048
const MAX_SHAPES = 64

/**
 * Sends the operations of one event-loop turn together: one script call on a single server, one per
 * partition on a cluster, at most 256 operations each, in the order they were made.
 *
 * All keys of a subject live in its partition, `{n}` in the key, so a script call never spans two slots.
 */
export class RedisStore {
  readonly #options: RedisStoreOptions
  readonly #script: RedisScript
  readonly #breakers = new Map<number, Breaker>()
  readonly #flushLater = () => this.#flush()
  // What keys of each partition begin with.
  readonly #prefixes: string[] = []
  #queue: Pending[] = []
  #scheduled = false
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
  }

  run(shape: Shape, subject: string): Promise<Outcome> {
    return new Promise((settle, fail) => this.submit(shape, subject, { settle, fail }))
  }

  /** The same as `run` without a promise, for the path where each counts. */
  submit(shape: Shape, subject: string, receiver: Receiver): void {
    const partition = hashOf(subject) % this.#options.partitions
    this.#queue.push(new Pending(shape, subject, partition, receiver))
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flushLater)
  }

  /** Why the store cannot be asked right now; undefined when it can. */
  unavailable(subject: string): LimitError | undefined {
    if (!connected(this.#options.client)) {
      return new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'the connection to Redis is down')
    }
    if (this.#breakers.size === 0) return undefined
    const group = this.#groupOf(hashOf(subject) % this.#options.partitions)
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

  #groupOf(partition: number): number {
    return this.#options.client.isCluster ? partition : 0
  }

  #flush(): void {
    this.#scheduled = false
    const queue = this.#queue
    if (queue.length === 0) return
    this.#queue = []
    if (!this.#options.client.isCluster) {
      this.#sendInChunks(queue, 0)
      return
    }
    const groups = new Map<number, Pending[]>()
    for (const pending of queue) {
      const group = groups.get(pending.partition)
      if (group) group.push(pending)
      else groups.set(pending.partition, [pending])
    }
    for (const [partition, group] of groups) this.#sendInChunks(group, partition)
  }

  #sendInChunks(queue: readonly Pending[], group: number): void {
    let chunk: Pending[] = []
    let shapes = new Map<Shape, number>()
    let keys: string[] = []
    let order = ''
    let index: number | undefined
    let previous: Shape | undefined
    const now = Date.now() * 1_000 + this.#clockOffset
    const send = () => {
      if (chunk.length > 0) void this.#send(chunk, keys, shapes, order, now, group)
    }
    for (const pending of queue) {
      const { shape, subject, partition } = pending
      if (shape !== previous) index = shapes.get(shape)
      previous = shape
      if (
        chunk.length === MAX_OPERATIONS ||
        keys.length + shape.slots.length > MAX_KEYS ||
        (index === undefined && shapes.size === MAX_SHAPES)
      ) {
        send()
        chunk = []
        shapes = new Map()
        keys = []
        order = ''
        index = undefined
      }
      if (index === undefined) {
        index = shapes.size
        shapes.set(shape, index)
      }
      chunk.push(pending)
      order += String.fromCharCode(48 + index)
      const start = this.#prefixOf(partition) + subject
      for (const slot of shape.slots) keys.push(start + slot.suffix)
    }
    send()
  }

  #prefixOf(partition: number): string {
    let prefix = this.#prefixes[partition]
    if (prefix === undefined) {
      prefix = `${this.#options.prefix}:{${partition}}:`
      this.#prefixes[partition] = prefix
    }
    return prefix
  }

  async #send(
    chunk: readonly Pending[],
    keys: readonly string[],
    shapes: ReadonlyMap<Shape, number>,
    order: string,
    now: number,
    group: number,
  ): Promise<void> {
    this.#inFlight++
    this.calls++
    const asked = performance.now() * 1_000
    try {
      let json = ''
      for (const shape of shapes.keys()) json += `${json === '' ? '[' : ','}${shape.encode(now)}`
      const reply = await this.#timed(this.#script.run(this.#options.client, keys, [`${json}]`, order]))
      this.#breakers.get(group)?.succeeded()
      this.#deliver(chunk, reply as number[], asked)
    } catch (error) {
      const failure = failureOf(error)
      this.#breakerOf(group, keys[0] ?? '').failed()
      this.#options.onFailure(failure)
      for (const pending of chunk) pending.receiver.fail(failure)
    } finally {
      this.#inFlight--
      if (this.#inFlight === 0) this.#idle?.()
    }
  }

  #timed<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new LimitUnavailableError('LIMIT_ERR_TIMEOUT', 'Redis did not answer in time'))
      }, this.#options.timeout)
      work.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  #deliver(chunk: readonly Pending[], reply: readonly number[], asked: number): void {
    const reader = new ReplyReader(reply)
    const now = reader.next()
    if (reply.length === 1) {
      this.#again(chunk, now)
      return
    }
    for (const pending of chunk) pending.receiver.settle(reader.outcome(pending.shape, now, asked))
  }

  // The clocks are further apart than the calendar boundaries sent. Nothing was done: the whole chunk is sent
  // again, before everything else, with those around the server's time.
  #again(chunk: readonly Pending[], now: number): void {
    this.#clockOffset = now - Date.now() * 1_000
    const fresh = chunk.filter((pending) => !pending.stale)
    for (const pending of chunk) {
      if (pending.stale) {
        pending.receiver.fail(
          new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'the clock of Redis jumps while it is asked'),
        )
      }
      pending.stale = true
    }
    this.#queue = [...fresh, ...this.#queue]
    this.#flush()
  }

  #breakerOf(group: number, key: string): Breaker {
    let breaker = this.#breakers.get(group)
    if (!breaker) {
      breaker = new Breaker({
        threshold: 3,
        // No operation, but a key of the group, so that a cluster asks the node concerned.
        probe: async () => await this.#timed(this.#script.run(this.#options.client, [key], ['[]', ''])),
      })
      this.#breakers.set(group, breaker)
    }
    return breaker
  }
}

class ReplyReader {
  readonly #reply: readonly number[]
  #at = 0

  constructor(reply: readonly number[]) {
    this.#reply = reply
  }

  next(): number {
    return this.#reply[this.#at++] as number
  }

  outcome(shape: Shape, now: number, asked: number): Outcome {
    // The numbers of a state are never negative, a status always is.
    const ordinary = (this.#reply[this.#at] as number) >= 0
    const status = ordinary ? -2 : this.next()
    const slots: SlotOutcome[] = []
    for (let index = 0; index < shape.slots.length; index++) {
      const slot = shape.slots[index] as Slot
      slots.push(ordinary ? this.#ordinary(slot, now) : this.#special(shape, slot, now))
    }
    const wait = status < -2 ? -2 - status : 0
    return { now, granted: status <= -2, wait, slots, asked }
  }

  #ordinary(slot: Slot, now: number): SlotOutcome {
    const { code, arity } = slot.policy[INTERNALS].kernel
    const a = this.next()
    const b = arity > 1 ? this.next() : now
    const c = arity > 2 && code !== 5 ? this.next() : 0
    return { fits: true, wait: 0, blocked: 0, parameters: slot.parameters, a, b, c }
  }

  #special(shape: Shape, slot: Slot, now: number): SlotOutcome {
    const { kernel, calendar } = slot.policy[INTERNALS]
    const flags = this.next()
    const a = this.next()
    const b = kernel.arity > 1 ? this.next() : now
    const c = kernel.arity > 2 ? this.next() : 0
    const paced = shape.mode === MODE.check && shape.argument > 0
    // The state is the one after the charge: only the script knows what a paced grant had to wait for.
    const told = kernel.code === 5 ? c : paced ? this.next() : undefined
    let blocked = 0
    let parameters = slot.parameters
    if (flags > 1) {
      blocked = this.next()
      const own = { cap: this.next(), x: this.next(), y: this.next(), z: this.next() }
      if ((flags & 4) !== 0) parameters = own
    }
    const fits = (flags & 1) !== 0
    let wait = 0
    if (!fits) {
      const state: State = { a, b, c }
      if (told !== undefined) wait = told < 0 ? Number.POSITIVE_INFINITY : told
      else wait = kernel.wait(state, now, slot.cost, parameters, calendar ? calendar.windows(now) : [])
    }
    return { fits, wait, blocked, parameters, a, b, c }
  }
}

const DENIED = /NOPERM|ACL failure|can't run this command|unknown command/i

function failureOf(error: unknown): LimitError {
  if (error instanceof LimitUnavailableError) return error
  const message = messageOf(error)
  if (DENIED.test(message)) {
    return new LimitUnavailableError(
      'LIMIT_ERR_SCRIPTING_DENIED',
      'the Redis user may not run scripts or a command in them: allow the commands listed in the README',
      { cause: error },
    )
  }
  return new LimitUnavailableError('LIMIT_ERR_UNAVAILABLE', 'Redis could not decide', { cause: error })
}
