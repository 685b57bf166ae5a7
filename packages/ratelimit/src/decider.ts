import { randomUUID } from 'node:crypto'
import { raceAbort } from '@cays/core/abort'
import { type Decision, decisionOf } from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import type { LimitError } from './errors.ts'
import { Fallback } from './fallback.ts'
import { Leases } from './leases.ts'
import { MemoryStore } from './memory-store.ts'
import type { Outcome, Shape } from './operation.ts'
import type { ResolvedOptions } from './options.ts'
import type { Asked } from './redis-batch.ts'
import { Nodes } from './redis-nodes.ts'
import { RedisStore } from './redis-store.ts'
import type { Reports } from './reports.ts'
import type { Time } from './time.ts'

/** What an operation came to, and who keeps its charge. */
export interface Verdict {
  readonly decision: Decision
  readonly shape: Shape
  readonly outcome: Outcome | undefined
}

/**
 * Who decides: this process' lease, its memory of a denial, Redis, or what stands in for Redis; without Redis
 * the memory store. Subjects come in their form (see `subjectForm`), beside the name that reports use.
 */
export class Decider {
  readonly #reports: Reports
  readonly #memory: MemoryStore
  readonly #denials: DenyCache
  readonly #fallback: Fallback
  readonly #redis: RedisStore | undefined
  readonly #nodes: Nodes | undefined
  readonly #leases: Leases | undefined

  constructor(options: ResolvedOptions, time: Time, reports: Reports) {
    const { redis: client, prefix, timeout, policies, onError, lease } = options
    this.#reports = reports
    this.#memory = new MemoryStore({ max: options.maxSubjects, now: time.now })
    this.#denials = new DenyCache(options.denyCache)
    this.#fallback = new Fallback({ onError, store: this.#memory, nodes: () => this.nodes })
    if (!client) return
    this.#redis = new RedisStore({
      client,
      prefix,
      partitions: options.partitions,
      timeout,
      onFailure: (error) => reports.failed(error),
    })
    const local = Object.values(policies).some((policy) => (policy.onError ?? onError) === 'local')
    if (!local && !lease) return
    const nodes = new Nodes({
      client,
      key: `${prefix}:nodes`,
      id: randomUUID(),
      interval: options.heartbeat,
      timeout: Math.max(timeout, 250),
    })
    this.#nodes = nodes
    if (lease) {
      this.#leases = new Leases({
        ...lease,
        store: this.#redis,
        share: (now) => nodes.share(now),
        onReturn: (subject) => this.#denials.forget(subject),
      })
    }
  }

  /** Processes that share the limits, this one included, as far as known. */
  get nodes(): number {
    return this.#nodes?.count ?? 1
  }

  get store(): 'redis' | 'memory' {
    return this.#redis ? 'redis' : 'memory'
  }

  get degraded(): boolean {
    return this.#redis?.degraded ?? false
  }

  /** The path of `check`: no promise but the one it answers. */
  check(subject: string, form: string, shape: Shape): Promise<Decision> {
    const redis = this.#redis
    if (!redis) {
      return this.#told(subject, decisionOf(shape, this.#memory.run(shape, form), 'memory'))
    }
    const leased = this.#leases?.spend(form, shape)
    if (leased) return this.#told(subject, decisionOf(shape, leased, 'lease'))
    const denied = this.#denials.size > 0 ? this.#denials.find(form, shape) : undefined
    if (denied) return this.#told(subject, decisionOf(shape, denied, 'cache'))
    this.#nodes?.start()
    const unavailable = redis.unavailable(form)
    if (unavailable) return this.#told(subject, this.#standIn(shape, form, unavailable).decision)
    const decided = new Promise<Decision>((resolve) => {
      redis.submit(new Check(this, subject, form, shape, resolve))
    })
    this.#leases?.want(form, shape)
    return decided
  }

  /** What Redis found for a check, or why it found nothing. */
  judge(subject: string, form: string, shape: Shape, found: Outcome | LimitError): Decision {
    if (found instanceof Error) {
      return this.#reports.decided(subject, this.#standIn(shape, form, found).decision)
    }
    if (!found.granted) this.#denials.remember(form, shape, found)
    return this.#reports.decided(subject, decisionOf(shape, found, 'redis'))
  }

  /** A decision in any mode, with what is needed to take it back. Nobody is told of it. */
  async ask(form: string, shape: Shape): Promise<Verdict> {
    const redis = this.#redis
    if (!redis) {
      const outcome = this.#memory.run(shape, form)
      return { decision: decisionOf(shape, outcome, 'memory'), shape, outcome }
    }
    this.#nodes?.start()
    const unavailable = redis.unavailable(form)
    if (unavailable) return this.#standIn(shape, form, unavailable)
    try {
      const outcome = await redis.run(shape, form)
      return { decision: decisionOf(shape, outcome, 'redis'), shape, outcome }
    } catch (error) {
      return this.#standIn(shape, form, error as LimitError)
    }
  }

  /** Changes a subject's standing; rejects when Redis cannot. */
  async change(form: string, shape: Shape, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#redis) {
      this.#memory.run(shape, form)
      return
    }
    const unavailable = this.#redis.unavailable(form)
    if (unavailable) throw unavailable
    this.#leases?.revoke(form)
    this.#denials.forget(form)
    try {
      await raceAbort(this.#redis.run(shape, form), signal)
    } finally {
      // A denial decided before the change may have arrived while it was under way.
      this.#denials.forget(form)
    }
  }

  /** Charges or gives back where the first charge was made. */
  async settle(form: string, shape: Shape, decision: Decision): Promise<void> {
    if (shape.slots.length === 0) return
    if (decision.source !== 'redis') {
      this.#memory.run(shape, form)
      return
    }
    // What is not sent can be tried again without being done twice.
    const unavailable = this.#redis?.unavailable(form)
    if (unavailable) throw unavailable
    this.#denials.forget(form)
    await this.#redis?.run(shape, form)
    this.#denials.forget(form)
  }

  async close(): Promise<void> {
    await this.#leases?.close()
    await this.#redis?.close()
    await this.#nodes?.stop()
    this.#memory.clear()
    this.#denials.clear()
  }

  #told(subject: string, decision: Decision): Promise<Decision> {
    return Promise.resolve(this.#reports.decided(subject, decision))
  }

  #standIn(shape: Shape, form: string, error: LimitError): Verdict {
    const { decision, shape: share, outcome } = this.#fallback.decide(shape, form, error)
    return { decision, shape: share ?? shape, outcome }
  }
}

class Check implements Asked {
  readonly shape: Shape
  readonly subject: string
  readonly #decider: Decider
  readonly #name: string
  readonly #resolve: (decision: Decision) => void

  constructor(
    decider: Decider,
    name: string,
    subject: string,
    shape: Shape,
    resolve: (decision: Decision) => void,
  ) {
    this.shape = shape
    this.subject = subject
    this.#decider = decider
    this.#name = name
    this.#resolve = resolve
  }

  settle(outcome: Outcome): void {
    this.#resolve(this.#decider.judge(this.#name, this.subject, this.shape, outcome))
  }

  fail(error: LimitError): void {
    this.#resolve(this.#decider.judge(this.#name, this.subject, this.shape, error))
  }
}
