import type { JobPage } from '../../../contract/job.ts'
import { ISLANDS, TRADES } from '../../../contract/job-words.ts'

export interface TrafficResult {
  readonly served: number
  /** Answered with 429: the limiter did its work. */
  readonly limited: number
  readonly failed: number
}

/** A system that limps answers slowly; the visitor should not wait for all of it. */
const AT_MOST = 10_000

/** A session that nobody has. */
const NOTHING = '/sessions/none'

const WORDS = ['engineer', 'chef', 'nurse', 'guide', 'manager', 'teacher'] as const

/** `reads`: what visitors look at. `flood`: changes that change nothing, as fast as they go: the limit ends them. */
export type TrafficKind = 'reads' | 'flood'

/** Sends requests as visitors would, some pages often and some rarely, `atOnce` at a time, for ten seconds at most. */
export async function sendTraffic(
  kind: TrafficKind,
  requests: number,
  atOnce: number,
): Promise<TrafficResult> {
  const result = { served: 0, limited: 0, failed: 0 }
  let ids: readonly string[] = []
  let sent = 0
  const end = Date.now() + AT_MOST
  const visitor = async () => {
    while (sent < requests && Date.now() < end) {
      sent++
      const answer = await (kind === 'reads' ? send(pathFor(sent, ids)) : send(NOTHING, 'DELETE'))
      if (answer === undefined || answer.status >= 500) result.failed++
      else if (answer.status === 429) result.limited++
      else result.served++
      if (answer?.ok && ids.length === 0 && answer.url.endsWith('/jobs')) {
        ids = ((await answer.json()) as JobPage).items.map(({ id }) => id)
      } else await answer?.body?.cancel()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, visitor))
  return result
}

function pathFor(index: number, ids: readonly string[]): string {
  const any = <T>(values: readonly T[]) => values[Math.floor(Math.random() * values.length)]
  const id = any(ids)
  if (index % 3 === 1 && id) return `/jobs/${id}`
  if (index % 5 === 2) return `/jobs?q=${any(WORDS)}`
  if (index % 4 === 3) {
    return `/jobs?${new URLSearchParams({ island: any(ISLANDS) ?? '', trade: any(TRADES) ?? '' })}`
  }
  return '/jobs'
}

async function send(path: string, method = 'GET'): Promise<Response | undefined> {
  try {
    return await fetch(`/api/v1${path}`, { method, signal: AbortSignal.timeout(15_000) })
  } catch {
    return undefined
  }
}
