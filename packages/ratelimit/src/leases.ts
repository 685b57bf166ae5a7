import { covers, isMostlyLeft, isWithin, type Lease, leaseOf, mostOf, spend } from './lease.ts'
import { MODE, type Outcome, Shape } from './operation.ts'
import type { Asked } from './redis-batch.ts'
import { giveBack } from './reservation.ts'

export interface LeasesOptions {
  /** Part of a limit that all processes together may hold. */
  readonly maxShare: number
  /** Milliseconds that a lease may be spent; what is left then is given back. */
  readonly maxAge: number
  /** Where leases are charged and given back, in the order of the calls. */
  readonly store: { submit(asked: Asked): void }
  /** This process' part of `maxShare` at a moment of its monotonic clock, in milliseconds; 0 for none. */
  readonly share: (now: number) => number
  /** A subject got capacity back. */
  readonly onReturn: (subject: string) => void
}

interface Tracked {
  /** Checks since the last sweep. */
  calls: number
  /** Checks that the next lease is to cover; `HOT` times a power of two. */
  size: number
  lease: Lease | undefined
  asking: boolean
  /** Counts changes of the subject's standing: a lease asked for before one is given back. */
  changes: number
}

/** Checks of a subject within `maxAge` that make it worth a lease. */
const HOT = 8
const MAX_TRACKED = 10_000

/**
 * Spends hot subjects' capacity in this process: units are charged in Redis first and handed out here later.
 *
 * 1. A unit is spent at most once, and only while it is charged: what is given back was not spent.
 * 2. Units of a window or calendar period are not spent after its end, by the upper bound of the server's
 *    time: of such a limit nothing is admitted that Redis alone would not have admitted.
 * 3. At any moment all processes together can spend at most `maxShare` of a limit (see `Nodes.share`). What is
 *    spent in a span of time was charged in it or held when it began. So in any span no more is admitted than
 *    the limit allows and `maxShare` of it.
 * 4. What is not spent is given back: after `maxAge`, when the subject's standing is changed here, when there
 *    are more processes, on close. A process that dies leaves its units charged.
 *
 * A subject has one lease at a time, for one combination of policies and sizes. The first covers `HOT` checks;
 * one that is used up before its end is followed by one twice as large, up to this process' share.
 */
export class Leases {
  readonly #options: LeasesOptions
  readonly #tracked = new Map<string, Tracked>()
  // The shapes that charge leases, by the shape they are a multiple of: the same sizes come again and again.
  readonly #multiples = new WeakMap<Shape, Map<number, Shape>>()
  #sweeper: NodeJS.Timeout | undefined
  #asking = 0
  #answered: (() => void) | undefined
  #closed = false

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  /** The outcome of a check that a lease covers; undefined when Redis has to decide. */
  spend(subject: string, shape: Shape): Outcome | undefined {
    const tracked = this.#tracked.get(subject)
    if (!tracked) return undefined
    tracked.calls++
    const { lease } = tracked
    if (!lease) return undefined
    const now = performance.now()
    if (!this.#spendable(lease, now)) {
      this.#end(subject, tracked)
      return undefined
    }
    if (lease.shape.family !== shape.family || !covers(lease, shape)) return undefined
    return spend(lease, shape, now * 1_000)
  }

  /** Called when a check was sent: sends for a lease behind it if the subject is hot. */
  want(subject: string, shape: Shape): void {
    if (this.#closed) return
    const tracked = this.#tracked.get(subject)
    if (!tracked) {
      this.#track(subject)
      return
    }
    const { lease } = tracked
    if (tracked.asking || (lease ? lease.shape.family !== shape.family : tracked.calls < HOT)) return
    const share = this.#options.share(performance.now())
    const most = mostOf(shape, share * this.#options.maxShare)
    if (lease) {
      // Used up before its end, or less is left than this check costs.
      if (tracked.size < most) tracked.size *= 2
      this.#end(subject, tracked)
    }
    if (most >= 1) this.#ask(subject, tracked, this.#multiple(shape, Math.min(tracked.size, most)), share)
  }

  /** Gives the subject's lease back, ahead of a change of its standing that is sent next. */
  revoke(subject: string): void {
    const tracked = this.#tracked.get(subject)
    if (!tracked) return
    tracked.changes++
    this.#end(subject, tracked)
  }

  /** Gives everything back, leases that are under way included. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const [subject, tracked] of this.#tracked) this.#end(subject, tracked)
    if (this.#asking > 0) {
      await new Promise<void>((resolve) => {
        this.#answered = resolve
      })
    }
    this.#tracked.clear()
  }

  #spendable(lease: Lease, now: number): boolean {
    return now < lease.ends && this.#options.share(now) >= lease.share
  }

  #track(subject: string): void {
    if (this.#tracked.size >= MAX_TRACKED) return
    this.#tracked.set(subject, { calls: 1, size: HOT, lease: undefined, asking: false, changes: 0 })
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#options.maxAge).unref()
  }

  #sweep(): void {
    const now = performance.now()
    for (const [subject, tracked] of this.#tracked) {
      if (tracked.lease && !this.#spendable(tracked.lease, now)) this.#end(subject, tracked)
      if (!tracked.lease && !tracked.asking && tracked.calls < HOT) this.#tracked.delete(subject)
      tracked.calls = 0
    }
  }

  #multiple(shape: Shape, times: number): Shape {
    let multiples = this.#multiples.get(shape)
    if (!multiples) {
      multiples = new Map()
      this.#multiples.set(shape, multiples)
    }
    let multiple = multiples.get(times)
    if (!multiple) {
      multiple = new Shape(
        MODE.check,
        shape.slots.map((slot) => ({ ...slot, cost: slot.cost * times })),
      )
      multiples.set(times, multiple)
    }
    return multiple
  }

  #ask(subject: string, tracked: Tracked, shape: Shape, share: number): void {
    const { changes } = tracked
    const answered = (outcome: Outcome | undefined) => {
      tracked.asking = false
      if (outcome?.granted) {
        const lease = leaseOf(shape, outcome, share, this.#options.maxAge)
        if (this.#fits(lease) && changes === tracked.changes && !this.#closed) tracked.lease = lease
        else this.#giveBack(subject, lease)
      }
      if (!tracked.lease) {
        // There is no room for it now: the subject has to become hot again.
        tracked.calls = 0
        tracked.size = Math.max(HOT, tracked.size / 2)
      }
      this.#asking--
      if (this.#asking === 0) this.#answered?.()
    }
    tracked.asking = true
    this.#asking++
    this.#options.store.submit({ shape, subject, settle: answered, fail: () => answered(undefined) })
  }

  // Sizes and shares may have changed since it was asked for.
  #fits(lease: Lease): boolean {
    return this.#spendable(lease, performance.now()) && isWithin(lease, this.#options.maxShare)
  }

  #end(subject: string, tracked: Tracked): void {
    const { lease } = tracked
    if (!lease) return
    tracked.lease = undefined
    if (isMostlyLeft(lease)) tracked.size = Math.max(HOT, tracked.size / 2)
    this.#giveBack(subject, lease)
  }

  #giveBack(subject: string, lease: Lease): void {
    const refund = giveBack(lease.shape, lease.outcome, lease.left)
    if (refund.slots.length === 0) return
    // Redis forgets by itself what it does not hear of: the units count as used until then.
    const heard = () => this.#options.onReturn(subject)
    this.#options.store.submit({ shape: refund, subject, settle: heard, fail: heard })
  }
}
