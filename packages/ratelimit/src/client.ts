import { delay } from '@cays/core/abort'
import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { LimitConfigError } from './errors.ts'
import { readLimits } from './limit-field.ts'

/** How patient a client is. */
export interface PacedFetchOptions {
  /** Longest time one request is held back, all waits together; what would wait longer is sent. @default '30s' */
  readonly maxWait?: Duration
  /** How often a request is sent again after 429, or 503 with `Retry-After`. @default 2 */
  readonly retries?: number
  /** What sends the requests. @default globalThis.fetch */
  readonly fetch?: typeof fetch
}

interface Standing {
  /** Requests the server said are left, less those sent since; Infinity while nothing is known. */
  left: number
  /** When more come back, on the monotonic clock. */
  until: number
  /** Requests whose answer is still to come. */
  under: number
}

const MAX_ORIGINS = 100

/**
 * A `fetch` that keeps to the limits servers publish: it reads `RateLimit` and `Retry-After` of every answer,
 * holds requests back while nothing is left instead of having them refused, and sends refused ones again when
 * their time has come. Servers are told apart by origin. Works in browsers too.
 *
 * It never makes up an answer: when waiting longer than `maxWait` would be needed, or a body cannot be sent
 * twice, the caller gets what the server said.
 */
export function pacedFetch(options: PacedFetchOptions = {}): typeof fetch {
  const reader = new OptionReader(
    'pacedFetch',
    (message) => new LimitConfigError('LIMIT_ERR_BAD_OPTION', message),
  )
  reader.known(options, ['maxWait', 'retries', 'fetch'])
  const patience = reader.duration('maxWait', options.maxWait, 30_000)
  const retries = reader.integer('retries', options.retries, 2, { min: 0 })
  const send = reader.function('fetch', options.fetch) ?? ((...call) => globalThis.fetch(...call))
  const standings = new Map<string, Standing>()

  function standingOf(origin: string): Standing {
    const standing = standings.get(origin) ?? { left: Number.POSITIVE_INFINITY, until: 0, under: 0 }
    // Most recently used last; the oldest is forgotten first.
    standings.delete(origin)
    standings.set(origin, standing)
    if (standings.size > MAX_ORIGINS) for (const oldest of standings.keys()) return forget(oldest, standing)
    return standing
  }

  function forget(oldest: string, standing: Standing): Standing {
    standings.delete(oldest)
    return standing
  }

  return async (input, init) => {
    const standing = standingOf(new URL(input instanceof Request ? input.url : input, pageUrl()).origin)
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    const wait = signal ? { signal } : {}
    const repeatable = !(input instanceof Request && input.body) && !isStream(init?.body)
    const end = performance.now() + patience
    let due = 0
    for (let attempt = 0; ; attempt++) {
      // Woken waiters ask again: the first of them may have learned of a longer wait.
      while (standing.left < 1) {
        const now = performance.now()
        if (standing.until <= now) {
          // The time has come: one request finds out how many there are now.
          if (standing.under === 0) break
          await delay(Math.min(20, Math.max(0, end - now)), wait)
        } else if (standing.until > end) break
        else await delay(standing.until - now, wait)
        if (performance.now() >= end) break
      }
      // A refused request keeps to its own time, whatever others were told.
      if (due > performance.now()) await delay(due - performance.now(), wait)
      standing.left--
      standing.under++
      let response: Response
      try {
        response = await send(input, init)
      } finally {
        standing.under--
      }
      learn(standing, response)
      const again = refusedFor(response)
      if (again === undefined || attempt >= retries || !repeatable) return response
      due = performance.now() + again
      if (due > end) return response
      await response.body?.cancel().catch(() => {})
    }
  }
}

// Read once, it is empty. Node's fetch takes any async iterable.
function isStream(body: unknown): boolean {
  return (
    typeof body === 'object' &&
    body !== null &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body)
  )
}

function pageUrl(): string | undefined {
  return (globalThis as { location?: { href?: string } }).location?.href
}

/** Milliseconds until a refused request may come again; undefined when it was not refused. */
function refusedFor(response: Response): number | undefined {
  if (response.status !== 429 && response.status !== 503) return undefined
  const after = response.headers.get('retry-after')
  if (after === null) return undefined
  if (/^\d+$/.test(after)) return Number(after) * 1_000
  // Anything but a date of HTTP says nothing; Date.parse alone takes '1.5' for one.
  const wait = after.endsWith(' GMT') ? Date.parse(after) - Date.now() : Number.NaN
  return Number.isNaN(wait) ? undefined : Math.max(0, wait)
}

function learn(standing: Standing, response: Response): void {
  const now = performance.now()
  const after = refusedFor(response)
  if (after !== undefined) {
    standing.left = 0
    standing.until = Math.max(standing.until, now + after)
    return
  }
  let left = Number.POSITIVE_INFINITY
  let reset = 0
  for (const { remaining, seconds } of readLimits(response.headers.get('ratelimit'))) {
    if (remaining < left || (remaining === left && seconds > reset)) reset = seconds
    if (remaining < left) left = remaining
  }
  // Requests under way were counted by the server or will be.
  standing.left = left - standing.under
  if (left < Number.POSITIVE_INFINITY) standing.until = now + reset * 1_000
}
