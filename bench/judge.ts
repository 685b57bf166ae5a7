import type { Must } from './define-case.ts'

export type Verdict = 'met' | 'missed' | 'inconclusive'

/** What lies between: of a ratio's or a difference's rounds, the interval that holds the true median. */
export interface Interval {
  readonly low: number
  readonly high: number
}

/** Cost per operation in µs, one entry per round; the same index is the same round for everybody. */
export interface Costs {
  readonly ours: readonly number[]
  /** A second process of ours, measured like a peer. */
  readonly control: readonly number[]
  /** Absent for a bound on our own cost. */
  readonly peer?: readonly number[]
  /** More wanted to run than the machine has cores. @default false */
  readonly busy?: boolean
}

export interface Judgement {
  /** Median over the rounds, in the unit of the bound. */
  readonly value: number
  readonly interval: Interval
  /** How far a contender is from itself, 0.1 being 10 %: the farther end of the control's interval. */
  readonly control: number
  readonly verdict: Verdict
}

/**
 * Compares round by round, so that what slows the machine for a while slows both sides of a comparison.
 *
 * `inconclusive` when the control differs from itself by more than half the margin, or when the bound lies
 * inside the interval of the value. The margin of a ratio is the distance of its bound from equality; that of a
 * cost or a difference is the distance between what was measured and the bound, relative to our cost; what is
 * counted may be nothing at all, so there both distances are relative to the bound. What other programs do to the
 * caches makes everything cost more, so on a busy machine a bound in µs can be met, not missed.
 */
export function judge(must: Must, { ours, control, peer = [], busy = false }: Costs): Judgement {
  const value = ours.map((cost, round) => measure(must, cost, peer[round] ?? Number.NaN))
  const middle = median(value)
  const interval = medianInterval(value)
  const { limit, atLeast } = boundOf(must)
  const relative = 'ratio' in must || 'advantage' in must
  const counted = 'most' in must
  const apart = (one: number, other: number) => (counted ? (one - other) / limit : quotient(one, other) - 1)
  const self = medianInterval(ours.map((cost, round) => apart(cost, control[round] ?? Number.NaN)))
  const deviation = Math.max(Math.abs(self.high), Math.abs(self.low))
  const margin = relative ? Math.abs(limit - 1) : Math.abs(middle - limit) / (counted ? limit : median(ours))
  const holds = atLeast ? middle >= limit : middle <= limit
  const unsure =
    !(deviation <= margin / 2) ||
    (interval.low <= limit && limit <= interval.high) ||
    (busy && !relative && !holds)
  return {
    value: middle,
    interval,
    control: deviation,
    verdict: unsure ? 'inconclusive' : holds ? 'met' : 'missed',
  }
}

function measure(must: Must, ours: number, peer: number): number {
  if ('ratio' in must) return ours / peer
  if ('advantage' in must) return peer / ours
  return 'added' in must ? ours - peer : ours
}

export function boundOf(must: Must): {
  readonly limit: number
  readonly atLeast: boolean
  readonly unit: string
} {
  if ('ratio' in must) return { limit: must.ratio, atLeast: false, unit: '×' }
  if ('advantage' in must) return { limit: must.advantage, atLeast: true, unit: '×' }
  if ('most' in must) return { limit: must.most, atLeast: false, unit: must.unit }
  return { limit: 'added' in must ? must.added : must.cost, atLeast: false, unit: 'µs' }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  const upper = sorted[Math.floor(half)] ?? Number.NaN
  return Number.isInteger(half) ? ((sorted[half - 1] ?? Number.NaN) + upper) / 2 : upper
}

/**
 * The interval between two of the sorted values that holds the median of their distribution with a probability
 * of 93 % or more, whatever that distribution is (the sign test's interval); of few values, all of them.
 */
export function medianInterval(values: readonly number[]): Interval {
  const sorted = values.toSorted((a, b) => a - b)
  const { length } = sorted
  // Chance that at most `cut` of the values lie on one side of the median: the binomial distribution's tail.
  let tail = 2 ** -length
  let term = tail
  let cut = 0
  while (cut + 1 < length / 2) {
    term *= (length - cut) / (cut + 1)
    if (tail + term > 0.035) break
    tail += term
    cut += 1
  }
  return { low: sorted[cut] ?? Number.NaN, high: sorted[length - 1 - cut] ?? Number.NaN }
}

/** What two have counted nothing of is the same. */
export function quotient(one: number, other: number): number {
  return one === other ? 1 : one / other
}
