/** What a contender needs of the outside: the servers that its case asked for. */
export interface Servers {
  /** Empty unless the case needs `redis`. */
  readonly redisUrl: string
  /** Empty unless the case needs `postgres`. */
  readonly primaryUrl: string
  /** One URL per replica. */
  readonly replicaUrls: readonly string[]
  /** The primary and the replicas again, over lines that take the `roundTrip` of the case; empty unless it has one. */
  readonly farUrls: readonly string[]
}

/** What an operation has measured itself, by name: how much memory grew, the p95 of what it did. */
export type Measures = Readonly<Record<string, number>>

/** One contender, ready in a process of its own. */
export interface Operation {
  /** Performs the operation `count` times. All of it is done when this returns or resolves. */
  run(count: number): void | Measures | Promise<void> | Promise<Measures>
  close?(): void | Promise<void>
}

export interface Contender {
  /** The npm package measured, whose version is printed. */
  readonly name: string
  readonly prepare: (servers: Servers) => Operation | Promise<Operation>
}

/**
 * The bound of a figure. `ratio`: our cost divided by the peer's, at most. `advantage`: the peer's cost divided
 * by ours, at least. `added`: our cost less the peer's, in µs, at most. `cost`: our cost in µs, at most. `most`: what
 * our operation has measured itself, at most.
 */
export type Must =
  | { readonly ratio: number }
  | { readonly advantage: number }
  | { readonly added: number }
  | { readonly cost: number }
  | { readonly most: number; readonly unit: string }

export interface Claim {
  /** What is claimed, without the number. */
  readonly figure: string
  readonly must: Must
  /** The contender compared with; a `cost` needs none. */
  readonly against?: string
  /**
   * `cpu`: user and system time of the contender's process; `time`: the clock. A bound within 15 % of equality
   * is judged over at least 30 rounds, by `time` over 100: the control says whether they were quiet enough. Any other word: a measure of the operation. @default 'cpu'
   */
  readonly by?: 'cpu' | 'time' | (string & {})
}

export interface BenchmarkCase {
  /** What one operation is. */
  readonly operation: string
  readonly needs?: {
    readonly redis?: boolean
    readonly replicas?: number
    /** Milliseconds to a Postgres server and back, for `farUrls`. */
    readonly roundTrip?: number
  }
  /** The first is ours; a second process of it is the control. */
  readonly contenders: readonly [Contender, ...Contender[]]
  readonly claims: readonly Claim[]
  /** @default 11 */
  readonly rounds?: number
  /** Rounds before those that count. @default 2 */
  readonly warmUps?: number
  /** How long one contender works in one round, in milliseconds. @default 200 */
  readonly roundTime?: number
}

const FEWEST_ROUNDS = 5
const FEWEST_FOR_SMALL_MARGINS = 30
const FEWEST_BY_TIME = 100
const SMALL_MARGIN = 0.15

/** Declares a case and refuses one that could not be judged. */
export function defineCase(benchmark: BenchmarkCase): Required<BenchmarkCase> {
  const { contenders, claims, rounds = 11, warmUps = 2, roundTime = 200, needs = {} } = benchmark
  const names = contenders.map(({ name }) => name)
  if (new Set(names).size !== names.length) throw new Error('two contenders have one name')
  if (rounds < FEWEST_ROUNDS) throw new Error(`at least ${FEWEST_ROUNDS} rounds are needed`)
  for (const { figure, must, against, by = 'cpu' } of claims) {
    const compared = !('cost' in must || 'most' in must)
    if (compared !== (against !== undefined)) throw new Error(`${figure}: a cost has no peer, the others one`)
    if (against !== undefined && !names.slice(1).includes(against)) {
      throw new Error(`${figure}: there is no contender ${against}`)
    }
    const bound =
      'ratio' in must ? must.ratio : 'advantage' in must ? must.advantage : Number.POSITIVE_INFINITY
    const fewest = by === 'time' ? FEWEST_BY_TIME : FEWEST_FOR_SMALL_MARGINS
    if (Math.abs(bound - 1) < SMALL_MARGIN && rounds < fewest) {
      throw new Error(`${figure}: a margin under 15 % is judged over ${fewest} rounds`)
    }
  }
  return { ...benchmark, rounds, warmUps, roundTime, needs }
}
