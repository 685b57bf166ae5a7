import { EMPLOYMENT_TYPES, ISLANDS, TRADES } from '../../../contract/job-words.ts'

/** What the visitor looks for, as the address bar holds it. */
export interface JobQuery {
  readonly q: string
  readonly island: readonly string[]
  readonly trade: readonly string[]
  readonly type: readonly string[]
  readonly remote: boolean
  readonly payMin: number | null
}

export const PAY_STEPS = [20_000, 30_000, 45_000, 60_000, 80_000] as const

export const NO_FILTERS = { island: [], trade: [], type: [], remote: false, payMin: null } as const

/** Reads the address; what a stranger put there and nobody knows is left out. */
export function queryFrom(params: URLSearchParams): JobQuery {
  const known = (name: string, values: readonly string[]) =>
    values.filter((value) => params.getAll(name).includes(value))
  const payMin = Number(params.get('payMin'))
  return {
    q: (params.get('q') ?? '').slice(0, 120),
    island: known('island', ISLANDS),
    trade: known('trade', TRADES),
    type: known('type', EMPLOYMENT_TYPES),
    remote: params.get('remote') === 'true',
    payMin: Number.isInteger(payMin) && payMin > 0 && payMin <= 1_000_000 ? payMin : null,
  }
}

export function paramsFrom(query: JobQuery): URLSearchParams {
  const params = new URLSearchParams()
  if (query.q.trim()) params.set('q', query.q)
  for (const name of ['island', 'trade', 'type'] as const) {
    for (const value of query[name]) params.append(name, value)
  }
  if (query.remote) params.set('remote', 'true')
  if (query.payMin) params.set('payMin', String(query.payMin))
  return params
}

/** How many filters are set, the words aside. */
export function filterCount(query: JobQuery): number {
  return (
    query.island.length +
    query.trade.length +
    query.type.length +
    (query.remote ? 1 : 0) +
    (query.payMin ? 1 : 0)
  )
}
