import { randomUUID } from 'node:crypto'
import { raceDeadline } from '@cays/core/abort'
import { type Duration, MAX_TIMER, parseDuration } from '@cays/core/duration'
import { type Closeable, Lifecycle } from '@cays/core/lifecycle'
import type { RedisScript } from '@cays/core/redis-script'
import { LimitError, LimitUnavailableError } from './errors.ts'
import { connected, type RedisClient } from './redis-client.ts'
import { enterScript, leaveScript, renewScript } from './redis-slots.ts'
import { assertObject, badArgument } from './shapes.ts'
import { hashOf, keyForm, subjectForm } from './subject.ts'
import { Line } from './waiting-line.ts'

/** How long to wait for a slot. */
export interface EnterOptions {
  /** Longest wait for a slot. @default 0 */
  readonly maxWait?: Duration
  readonly signal?: AbortSignal | undefined
}

/** A place taken, or the answer that there is none. `await using` gives it back. */
export interface Slot extends AsyncDisposable {
  readonly allowed: boolean
  /** Who decided. */
  readonly source: 'redis' | 'memory' | 'local' | 'open' | 'closed'
  /** Aborts when the slot was lost while it was held: this process could not renew it for a whole `ttl`. */
  readonly signal: AbortSignal
  /** Idempotent; never rejects. When Redis is gone the slot becomes free after `ttl`. */
  release(): Promise<void>
}

/** Limits how many things happen at once, see `concurrency`. */
export interface ConcurrencyLimiter extends Closeable {
  /**
   * Takes a slot of the subject. Waiters of one process are served in order; between processes whoever asks
   * first when a slot is free gets it (waiting processes ask every 20 to 200 ms, one waiter per subject).
   */
  enter(subject: string, options?: EnterOptions): Promise<Slot>
}

interface Held {
  readonly id: string
  readonly key: string
  readonly controller: AbortController
  renewed: number
}

export interface SemaphoreOptions {
  readonly limit: number
  readonly prefix: string
  readonly onError: 'local' | 'open' | 'closed'
  readonly partitions: number
  readonly redis: RedisClient | undefined
  readonly ttl: number
  readonly timeout: number
}

/** The limiter that `concurrency` makes. */
export class Semaphore implements ConcurrencyLimiter {
  readonly #options: SemaphoreOptions
  readonly #node = randomUUID()
  readonly #held = new Map<string, Held>()
  // Subjects with slots taken or waited for here; bounded by the work this process does at once.
  readonly #lines = new Map<string, Line>()
  readonly #lifecycle = new Lifecycle({
    closed: () =>
      new LimitError(
        'LIMIT_ERR_CLOSED',
        'the concurrency limiter is closed: close it after the last request',
      ),
    drain: 0,
  })
  #sequence = 0
  #renewal: NodeJS.Timeout | undefined

  constructor(options: SemaphoreOptions) {
    this.#options = options
    this.#lifecycle.onClose(async () => {
      clearInterval(this.#renewal)
      await Promise.all([...this.#held.values()].map((held) => this.#leave(held)))
    })
  }

  async enter(subject: string, options: EnterOptions = {}): Promise<Slot> {
    this.#lifecycle.assertOpen()
    assertObject('options', options)
    const form = subjectForm(subject)
    const patience = parseDuration(options.maxWait ?? 0)
    if (patience === undefined || patience > MAX_TIMER) {
      throw badArgument("maxWait must be a duration such as 250 or '2s', up to 24 days")
    }
    options.signal?.throwIfAborted()
    const line = this.#lineOf(form)
    line.entering++
    let slot: Slot | undefined
    try {
      slot = await this.#wait(form, line, performance.now() + patience, options.signal)
      return slot
    } finally {
      line.entering--
      // Whoever leaves without a slot passes its turn on.
      if (!slot?.allowed) this.#next(form, line)
    }
  }

  async #wait(form: string, line: Line, end: number, signal: AbortSignal | undefined): Promise<Slot> {
    const { redis } = this.#options
    // Whoever came first asks first: a newcomer does not overtake those who wait already.
    if (line.waiting && !(await this.#wake(line, end, signal, false))) {
      return refused(redis ? 'redis' : 'memory')
    }
    for (let attempt = 0; ; attempt++) {
      const slot = await this.#take(form, line)
      if (signal?.aborted) {
        await slot.release()
        throw signal.reason
      }
      const left = end - performance.now()
      if (slot.allowed || left <= 0 || slot.source === 'closed') return slot
      const pause = Math.min(left, redis ? Math.min(200, 20 * 2 ** Math.min(attempt, 4)) : left)
      await this.#wake(line, performance.now() + pause, signal, true)
    }
  }

  close(): Promise<void> {
    return this.#lifecycle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #take(form: string, line: Line): Promise<Slot> {
    const { redis, limit, ttl, onError } = this.#options
    if (!redis) return line.inUse < limit ? this.#slot(form, line, 'memory') : refused('memory')
    const id = `${this.#node}:${++this.#sequence}`
    const key = `${this.#options.prefix}:{${hashOf(form) % this.#options.partitions}}:${keyForm(form)}`
    const held: Held = { id, key, controller: new AbortController(), renewed: performance.now() }
    try {
      const [taken] = (await this.#run(enterScript, key, [limit, ttl, id])) as (number | string)[]
      if (Number(taken) === 0) return refused('redis')
    } catch {
      // Redis may take the slot all the same, when it comes to it: nobody would hold that one.
      void this.#leave(held)
      if (onError === 'closed') return refused('closed')
      if (onError === 'local' && line.inUse >= limit) return refused('local')
      return this.#slot(form, line, onError)
    }
    if (this.#lifecycle.state !== 'open') {
      await this.#leave(held)
      this.#lifecycle.assertOpen()
    }
    this.#held.set(id, held)
    this.#renewal ??= setInterval(() => void this.#renew(), ttl / 3).unref()
    return this.#slot(form, line, 'redis', held)
  }

  #slot(form: string, line: Line, source: Slot['source'], held?: Held): Slot {
    line.inUse++
    const { signal } = held?.controller ?? new AbortController()
    let releasing: Promise<void> | undefined
    const release = () => {
      releasing ??= (async () => {
        if (held) await this.#leave(held)
        line.inUse--
        this.#next(form, line)
      })()
      return releasing
    }
    return { allowed: true, source, signal, release, [Symbol.asyncDispose]: release }
  }

  #lineOf(form: string): Line {
    let line = this.#lines.get(form)
    if (!line) {
      line = new Line()
      this.#lines.set(form, line)
    }
    return line
  }

  #next(form: string, line: Line): void {
    if (!line.next() && line.inUse === 0 && line.entering === 0) this.#lines.delete(form)
  }

  /** True when woken by a slot given back, false when the time is over. */
  async #wake(line: Line, end: number, signal: AbortSignal | undefined, first: boolean): Promise<boolean> {
    const stop = AbortSignal.any(signal ? [signal, this.#lifecycle.signal] : [this.#lifecycle.signal])
    try {
      return await line.wait(end - performance.now(), stop, first)
    } catch {
      if (signal?.aborted) throw signal.reason
      throw new LimitError(
        'LIMIT_ERR_ABANDONED',
        'the concurrency limiter was closed during the wait: close it after the last request',
      )
    }
  }

  async #leave(held: Held): Promise<void> {
    this.#held.delete(held.id)
    // Gone is gone: what Redis does not hear of, it frees after `ttl`.
    await this.#run(leaveScript, held.key, [held.id]).catch(() => {})
  }

  async #renew(): Promise<void> {
    const byKey = new Map<string, Held[]>()
    for (const held of this.#held.values()) byKey.set(held.key, [...(byKey.get(held.key) ?? []), held])
    await Promise.all(
      [...byKey].map(async ([key, leases]) => {
        const asked = performance.now()
        try {
          const ids = leases.map((held) => held.id)
          const lost = (await this.#run(renewScript, key, [this.#options.ttl, ...ids])) as string[]
          for (const held of leases) {
            if (lost.includes(held.id)) this.#lose(held)
            else held.renewed = asked
          }
        } catch {
          for (const held of leases) {
            if (asked - held.renewed >= this.#options.ttl) this.#lose(held)
          }
        }
      }),
    )
  }

  #lose(held: Held): void {
    if (!this.#held.delete(held.id)) return
    held.controller.abort(
      new LimitUnavailableError(
        'LIMIT_ERR_UNAVAILABLE',
        'the slot could not be renewed in time and was lost: stop what it was for, others may do it now',
      ),
    )
  }

  async #run(script: RedisScript, key: string, args: readonly (string | number)[]): Promise<unknown> {
    const { redis, timeout } = this.#options
    const error = () => new LimitUnavailableError('LIMIT_ERR_TIMEOUT', 'Redis did not answer in time')
    if (!redis || !connected(redis)) throw error()
    return await raceDeadline(script.run(redis, [key], args), timeout, error)
  }
}

function refused(source: Slot['source']): Slot {
  const done = () => Promise.resolve()
  return {
    allowed: false,
    source,
    signal: new AbortController().signal,
    release: done,
    [Symbol.asyncDispose]: done,
  }
}
