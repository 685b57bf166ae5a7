import type { Round } from './contender.ts'
import type { Contest, Measured } from './contest.ts'
import type { BenchmarkCase, Claim } from './define-case.ts'
import { boundOf, type Interval, judge, median, quotient, type Verdict } from './judge.ts'

/** Medians over the rounds; times per operation in µs, memory in MiB. */
export interface Peer {
  readonly name: string
  readonly time: number
  readonly cpu: number
  readonly memory: number
  /** Our cost divided by this one's, by what the figure is judged by. */
  readonly ratio: number
  /** What it measured itself, when the figure is judged by that. */
  readonly measured?: number
}

/** One line of the results, and one element of the JSON file. */
export interface Figure {
  readonly package: string
  readonly figure: string
  readonly operation: string
  readonly value: number
  readonly unit: string
  readonly must: string
  readonly by: string
  readonly verdict: Verdict
  readonly ok: boolean
  /** Ours first. */
  readonly peers: readonly Peer[]
  readonly rounds: number
  /** The interval that holds the median of `value`, and how far the control was from itself (0.1: 10 %). */
  readonly spread: Interval & { readonly control: number }
  readonly versions: Readonly<Record<string, string>>
  readonly measured: Measurement
}

/** Where and when. */
export interface Measurement {
  readonly at: string
  readonly processor: string
  readonly cores: number
  readonly platform: string
  /** Processes that wanted a core, averaged over the minute before the first round. */
  readonly load: number
}

export interface Circumstances {
  readonly package: string
  readonly versions: Readonly<Record<string, string>>
  readonly measured: Measurement
}

/** Judges every claim of a case by what its contest measured. */
export function figuresOf(
  { claims, operation, rounds }: Required<BenchmarkCase>,
  { contenders, control }: Contest,
  circumstances: Circumstances,
): readonly Figure[] {
  return claims.map((claim) => {
    const by = claim.by ?? 'cpu'
    const own = by !== 'cpu' && by !== 'time'
    const costOf = (round: Round) => {
      if (by === 'cpu') return round.cpu
      return by === 'time' ? round.time : (round.measures?.[by] ?? Number.NaN)
    }
    const costs = ({ rounds: measured }: Measured) => measured.map(costOf)
    const [ours] = contenders
    const peer = contenders.find(({ name }) => name === claim.against)
    if (!ours) throw new Error('a contest without contenders')
    const judgement = judge(claim.must, {
      ours: costs(ours),
      control: costs(control),
      busy: circumstances.measured.load > circumstances.measured.cores,
      ...(peer ? { peer: costs(peer) } : {}),
    })
    const { value, interval, verdict } = judgement
    const ownCost = median(costs(ours))
    return {
      figure: claim.figure,
      operation,
      value: rounded(value),
      unit: boundOf(claim.must).unit,
      must: mustText(claim),
      by,
      verdict,
      ok: verdict === 'met',
      peers: contenders.map((contender) => ({
        name: contender.name,
        time: rounded(median(contender.rounds.map(({ time }) => time))),
        cpu: rounded(median(contender.rounds.map(({ cpu }) => cpu))),
        memory: rounded(median(contender.rounds.map(({ memory }) => memory))),
        ratio: rounded(quotient(ownCost, median(costs(contender)))),
        ...(own ? { measured: rounded(median(costs(contender))) } : {}),
      })),
      rounds,
      spread: {
        low: rounded(interval.low),
        high: rounded(interval.high),
        control: rounded(judgement.control),
      },
      ...circumstances,
    }
  })
}

function mustText({ must, against }: Claim): string {
  const { limit, atLeast, unit } = boundOf(must)
  const sign = atLeast ? '≥' : '≤'
  if ('advantage' in must) return `${sign} ${limit} × cheaper than ${against}`
  if ('added' in must) return `${sign} ${limit} µs more than ${against}`
  return 'ratio' in must ? `${sign} ${limit} × ${against}` : `${sign} ${limit} ${unit}`
}

/** Three significant digits: more would pretend. */
function rounded(value: number): number {
  return Number(value.toPrecision(3))
}
