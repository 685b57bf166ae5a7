/**
 * What the limits mean, written as plainly as possible and without a line of the package: fractions instead
 * of scaled integers, loops instead of closed forms, lists of events instead of sums. Slow and obvious.
 * Times are microseconds, amounts milli-units.
 */
export interface Size {
  readonly cap: number
  readonly rate: number
}

export type Kind = 'fluid' | 'step' | 'quota' | 'counter' | 'log'

export interface ReferencePolicy {
  readonly kind: Kind
  readonly window: number
  readonly shadow: boolean
  /** When the periods of a quota begin, in order; absent for those that begin at multiples of the window. */
  readonly starts?: readonly number[]
}

export interface Mark {
  readonly at: number
  readonly cost: number
  /** Milli-units times window that were in use right after the charge; fluid only. */
  readonly level: bigint
}

interface Cell {
  advance(now: number, size: Size): void
  wait(now: number, cost: number, size: Size): number
  charge(now: number, cost: number, size: Size): void
  refund(now: number, cost: number, size: Size, mark?: Mark): void
  used(now: number): number
  full(now: number, size: Size): number
  level(): bigint
  /** Remembers everything; what it answers brings that back. Absent where sizes leave no trace. */
  remember?(): () => void
}

const DEBT = 10
const QUOTA_DEBT = 3

export function ceilDivide(a: bigint, b: bigint): bigint {
  return a <= 0n ? 0n : (a + b - 1n) / b
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b)
}

function fluid(window: number): Cell {
  const span = BigInt(window)
  const grainOf = (size: Size) => gcd(BigInt(size.rate), span)
  let level = 0n
  let at = 0
  let rate = 0
  return {
    advance(now, size) {
      // A changed limit rounds what is in use up to the smallest amount the new rate can drain.
      const grain = grainOf(size)
      if (rate !== size.rate) level = ceilDivide(level, grain) * grain
      rate = size.rate
      level -= BigInt(now - at) * BigInt(size.rate)
      if (level < 0n) level = 0n
      at = now
    },
    wait(_now, cost, size) {
      if (cost > size.cap) return Number.POSITIVE_INFINITY
      return Number(ceilDivide(level + BigInt(cost - size.cap) * span, BigInt(size.rate)))
    },
    charge(_now, cost, size) {
      const most = BigInt(DEBT * size.cap) * span
      const after = level + BigInt(cost) * span
      level = after < most || after < level ? after : level > most ? level : most
    },
    refund(now, cost, size, mark) {
      let back = BigInt(cost) * span
      if (mark) {
        // And what a charge still holds down to it.
        const then = mark.level - (mark.level % grainOf(size))
        const held = then - BigInt(now - mark.at) * BigInt(size.rate)
        const bounded = held < 0n ? 0n : held
        const most = bounded < BigInt(mark.cost) * span ? bounded : BigInt(mark.cost) * span
        if (back > most) back = most
      }
      level = level > back ? level - back : 0n
    },
    used: () => Number(ceilDivide(level, span)),
    full: (_now, size) => Number(ceilDivide(level, BigInt(size.rate))),
    level: () => level,
    remember() {
      const then = { level, at, rate }
      return () => {
        ;({ level, at, rate } = then)
      }
    },
  }
}

function step(window: number): Cell {
  let used = 0
  let start = 0
  // The largest that was charged in this window: its end brings back as much.
  let largest = 0
  return {
    advance(now, size) {
      while (used > 0 && now >= start + window) {
        used = Math.max(0, used - Math.max(largest, size.rate))
        largest = 0
        start += window
      }
      if (used === 0) [start, largest] = [now, 0]
    },
    wait(now, cost, size) {
      if (cost > size.cap) return Number.POSITIVE_INFINITY
      let left = used
      let at = now
      for (let border = start + window; left + cost > size.cap; border += window) {
        left -= at === now ? Math.max(largest, size.rate) : size.rate
        at = border
      }
      return at - now
    },
    charge(_now, cost, size) {
      used = Math.max(used, Math.min(used + cost, DEBT * size.cap))
      largest = Math.max(largest, size.rate)
    },
    refund(_now, cost, _size, mark) {
      if (!mark || mark.at >= start) used = Math.max(0, used - cost)
    },
    used: () => used,
    full(now, size) {
      let left = used
      let at = now
      for (let border = start + window; left > 0; border += window) {
        left -= at === now ? Math.max(largest, size.rate) : size.rate
        at = border
      }
      return at - now
    },
    level: () => 0n,
    remember() {
      const then = { used, start, largest }
      return () => {
        ;({ used, start, largest } = then)
      }
    },
  }
}

function quota(window: number, starts?: readonly number[]): Cell {
  let used = 0
  let start = 0
  let largest = 0
  const begin = (now: number) =>
    starts ? (starts.findLast((at) => at <= now) ?? Number.NaN) : now - (now % window)
  const most = (size: Size) => Math.max(largest, size.cap) + (QUOTA_DEBT - 1) * size.cap
  const next = (at: number) => (starts ? (starts.find((other) => other > at) ?? Number.NaN) : at + window)
  return {
    advance(now, size) {
      const here = begin(now)
      for (let ends = 1; start < here; ends++) {
        used = ends > QUOTA_DEBT ? 0 : Math.max(0, used - Math.max(largest, size.cap))
        largest = 0
        start = used === 0 ? here : next(start)
      }
      used = Math.min(used, most(size))
      if (used === 0) largest = 0
    },
    wait(now, cost, size) {
      if (cost > size.cap) return Number.POSITIVE_INFINITY
      let left = used
      let at = now
      for (let border = next(start); left + cost > size.cap; border = next(border)) {
        left -= at === now ? Math.max(largest, size.cap) : size.cap
        at = border
      }
      return at - now
    },
    charge(_now, cost, size) {
      largest = Math.max(largest, size.cap)
      used = Math.min(used + cost, most(size))
    },
    refund(_now, cost, _size, mark) {
      if (!mark || mark.at >= start) used = Math.max(0, used - cost)
    },
    used: () => used,
    full(now, size) {
      let left = used
      let at = now
      for (let border = next(start); left > 0; border = next(border)) {
        left -= at === now ? Math.max(largest, size.cap) : size.cap
        at = border
      }
      return at - now
    },
    level: () => 0n,
    remember() {
      const then = { used, start, largest }
      return () => {
        ;({ used, start, largest } = then)
      }
    },
  }
}

function counter(window: number): Cell {
  const counts = new Map<number, number>()
  const begin = (now: number) => now - (now % window)
  const current = (now: number) => counts.get(begin(now)) ?? 0
  const previous = (now: number) => counts.get(begin(now) - window) ?? 0
  // Estimate times window, as a whole number.
  const scaled = (now: number) =>
    BigInt(previous(now)) * BigInt(window - (now - begin(now))) + BigInt(current(now)) * BigInt(window)
  const fits = (now: number, cost: number, size: Size) =>
    scaled(now) + BigInt(cost) * BigInt(window) <= BigInt(size.cap) * BigInt(window)
  return {
    advance(now) {
      for (const start of counts.keys()) if (start < begin(now) - window) counts.delete(start)
    },
    wait(now, cost, size) {
      if (cost > size.cap) return Number.POSITIVE_INFINITY
      // The estimate only falls while nothing is charged: the first moment that fits is found by halving.
      let [low, high] = [now, now + 2 * window]
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        if (fits(middle, cost, size)) high = middle
        else low = middle + 1
      }
      return low - now
    },
    charge(now, cost, size) {
      const count = current(now)
      counts.set(begin(now), Math.max(count, Math.min(count + cost, DEBT * size.cap)))
    },
    refund(now, cost, _size, mark) {
      const start = mark ? begin(mark.at) : begin(now)
      if (mark && start < begin(now) - window) return
      const count = counts.get(start) ?? 0
      counts.set(start, Math.max(0, count - cost))
      if (!mark && cost > count) {
        counts.set(start - window, Math.max(0, (counts.get(start - window) ?? 0) - (cost - count)))
      }
    },
    used: (now) => Number(ceilDivide(scaled(now), BigInt(window))),
    full(now) {
      if (current(now) > 0) return begin(now) + 2 * window - now
      return previous(now) > 0 ? begin(now) + window - now : 0
    },
    level: () => 0n,
  }
}

function log(window: number): Cell {
  let events: { at: number; cost: number }[] = []
  // A refund can take the newest event away; the log still waits for its time before it counts as empty.
  let newest = 0
  const used = () => events.reduce((sum, event) => sum + event.cost, 0)
  return {
    advance(now) {
      events = events.filter((event) => event.at > now - window)
    },
    wait(now, cost, size) {
      if (cost > size.cap) return Number.POSITIVE_INFINITY
      const times = [now, ...events.map((event) => event.at + window)]
      const fits = (time: number) =>
        events.filter((event) => event.at > time - window).reduce((sum, event) => sum + event.cost, 0) +
          cost <=
        size.cap
      return (times.find(fits) ?? Number.NaN) - now
    },
    charge(now, cost, size) {
      const added = Math.min(cost, Math.max(0, DEBT * size.cap - used()))
      if (added <= 0) return
      events.push({ at: now, cost: added })
      newest = now
    },
    refund(_now, cost, _size, mark) {
      if (mark) {
        const event = events.find(({ at, cost: charged }) => at === mark.at && charged === mark.cost)
        if (event) event.cost -= Math.min(cost, mark.cost)
      } else {
        let left = cost
        for (const event of [...events].reverse()) {
          const back = Math.min(left, event.cost)
          event.cost -= back
          left -= back
        }
      }
      events = events.filter((event) => event.cost > 0)
    },
    used,
    full: (now) => (used() === 0 ? 0 : newest + window - now),
    level: () => 0n,
  }
}

const CELLS = { fluid, step, quota, counter, log } as const

interface Subject {
  cell: Cell
  blocked: number
  own: Size | undefined
}

export interface ReferenceRequest {
  readonly policies: readonly {
    readonly name: string
    readonly cost: number
    readonly size: Size
    readonly mark?: Mark
  }[]
  /** Longest wait of a paced check. */
  readonly patience?: number
}

export interface ReferencePolicyAnswer {
  readonly allowed: boolean
  readonly limit: number
  readonly capacity: number
  readonly remaining: number
  readonly retryAfter: number
  readonly resetAfter: number
  readonly window: number
  readonly unit: string
  readonly shadow: boolean
}

export interface ReferenceAnswer {
  readonly allowed: boolean
  readonly reason: string | undefined
  readonly limitedBy: readonly string[]
  readonly retryAfter: number
  readonly policies: Readonly<Record<string, ReferencePolicyAnswer>>
  readonly marks: readonly Mark[]
}

export class Reference {
  readonly #policies: Readonly<Record<string, ReferencePolicy>>
  readonly #subjects = new Map<string, Subject>()

  constructor(policies: Readonly<Record<string, ReferencePolicy>>) {
    this.#policies = policies
  }

  check(subject: string, now: number, request: ReferenceRequest, charge: boolean): ReferenceAnswer {
    const parts = request.policies.map(({ name, cost, size }) => {
      const policy = this.#policy(name)
      // Looking at a subject with a limit of another size leaves it as it was.
      const back = this.#subject(name, subject).cell.remember?.()
      const state = this.#arrive(name, subject, now, size)
      const applied = state.own ?? size
      return { name, cost, policy, state, applied, back, wait: state.cell.wait(now, cost, applied) }
    })
    const enforced = parts.filter(({ policy }) => !policy.shadow)
    const blocked = enforced.some(({ state }) => state.blocked > now)
    const longest = Math.max(0, ...enforced.map(({ wait }) => wait))
    const granted = !blocked && longest <= (charge ? (request.patience ?? 0) : 0)
    const charges = ({ policy, wait }: (typeof parts)[number]) =>
      charge && granted && (!policy.shadow || wait === 0)
    for (const part of parts) if (charges(part)) part.state.cell.charge(now, part.cost, part.applied)
    const stopped = granted ? [] : enforced.filter(({ wait, state }) => wait > 0 || state.blocked > now)
    const waits = stopped.map(({ wait, state }) => Math.max(wait, state.blocked - now))
    const answer = {
      allowed: granted,
      reason: granted
        ? undefined
        : waits.includes(Number.POSITIVE_INFINITY)
          ? 'never'
          : blocked
            ? 'blocked'
            : 'limit',
      limitedBy: stopped.map(({ name }) => name),
      retryAfter: Math.max(0, ...waits) / 1_000,
      policies: Object.fromEntries(
        parts.map(({ name, policy, state, applied, wait }) => [
          name,
          {
            allowed: wait === 0 && state.blocked <= now,
            limit:
              (policy.kind === 'fluid' ? applied.rate : policy.kind === 'step' ? applied.rate : applied.cap) /
              1_000,
            capacity: applied.cap / 1_000,
            remaining: Math.max(0, Math.floor((applied.cap - state.cell.used(now)) / 1_000)),
            retryAfter: Math.max(wait, state.blocked - now, 0) / 1_000,
            resetAfter: state.cell.full(now, applied) / 1_000,
            window: policy.window / 1_000,
            unit: 'requests',
            shadow: policy.shadow,
          },
        ]),
      ),
      marks: parts.map(({ cost, state }) => ({ at: now, cost, level: state.cell.level() })),
    }
    for (const part of parts) if (!charges(part)) part.back?.()
    return answer
  }

  penalty(subject: string, now: number, request: ReferenceRequest): void {
    this.#each(subject, now, request, (state, cost, size) => state.cell.charge(now, cost, size))
  }

  refund(subject: string, now: number, request: ReferenceRequest): void {
    this.#each(subject, now, request, (state, cost, size, mark) => state.cell.refund(now, cost, size, mark))
  }

  block(subject: string, now: number, request: ReferenceRequest, length: number): void {
    this.#each(subject, now, request, (state) => {
      state.blocked = length > 0 ? now + length : 0
    })
  }

  reset(subject: string, now: number, request: ReferenceRequest): void {
    for (const { name } of request.policies) {
      const state = this.#subject(name, subject)
      const { kind, window, starts } = this.#policy(name)
      state.cell = CELLS[kind](window, starts)
      state.blocked = 0
    }
    this.#each(subject, now, request, () => {})
  }

  setLimit(subject: string, now: number, name: string, size: Size | undefined, base: Size): void {
    const state = this.#arrive(name, subject, now, base)
    state.own = size
    state.cell.advance(now, size ?? base)
  }

  #each(
    subject: string,
    now: number,
    request: ReferenceRequest,
    change: (state: Subject, cost: number, size: Size, mark: Mark | undefined) => void,
  ): void {
    for (const { name, cost, size, mark } of request.policies) {
      const state = this.#arrive(name, subject, now, size)
      change(state, cost, state.own ?? size, mark)
    }
  }

  #policy(name: string): ReferencePolicy {
    const policy = this.#policies[name]
    if (!policy) throw new Error(`no policy ${name}`)
    return policy
  }

  #subject(name: string, subject: string): Subject {
    const key = `${name} ${subject}`
    let state = this.#subjects.get(key)
    if (!state) {
      const { kind, window, starts } = this.#policy(name)
      state = { cell: CELLS[kind](window, starts), blocked: 0, own: undefined }
      this.#subjects.set(key, state)
    }
    return state
  }

  #arrive(name: string, subject: string, now: number, size: Size): Subject {
    const state = this.#subject(name, subject)
    state.cell.advance(now, state.own ?? size)
    return state
  }
}
