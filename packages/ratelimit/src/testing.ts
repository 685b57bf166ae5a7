import { type Duration, parseDuration } from '@cays/core/duration'
import { limiterOn } from './create-rate-limiter.ts'
import { LimitConfigError } from './errors.ts'
import type { Policy } from './policy.ts'
import type { RateLimiter } from './rate-limiter.ts'
import type { Time } from './time.ts'

/** A clock that stands still until it is told to go on. */
export interface FakeClock {
  readonly now: Date
  /** Goes on by so much, and resolves when everything that was due by then has happened, in its order. */
  advance(by: Duration): Promise<void>
  /** @internal */
  readonly time: Time
}

/** What a limiter for tests needs. */
export interface TestLimiterOptions<Name extends string = string> {
  readonly policies: { readonly [Policy_ in Name]: Policy }
  readonly clock: FakeClock
  readonly topOffenders?: number
}

interface Timer {
  readonly at: number
  readonly run: () => void
}

/** Makes a clock for {@link createTestLimiter}. */
export function fakeClock(start: Date | string = '2030-01-01T00:00:00Z'): FakeClock {
  let now = new Date(start).getTime() * 1_000
  if (!Number.isFinite(now)) throw new LimitConfigError('LIMIT_ERR_BAD_OPTION', 'fakeClock: start is no date')
  const timers = new Set<Timer>()
  const later = (milliseconds: number, run: () => void) => {
    const timer = { at: now + milliseconds * 1_000, run }
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  return {
    get now() {
      return new Date(now / 1_000)
    },
    async advance(by) {
      const milliseconds = parseDuration(by)
      if (milliseconds === undefined) {
        throw new LimitConfigError('LIMIT_ERR_BAD_ARGUMENT', "advance needs a duration such as 250 or '5s'")
      }
      const end = now + milliseconds * 1_000
      await settled()
      for (let due = earliest(timers, end); due; due = earliest(timers, end)) {
        timers.delete(due)
        now = Math.max(now, due.at)
        due.run()
        await settled()
      }
      now = end
    },
    time: {
      now: () => now,
      later,
      wait: (milliseconds, signal) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return reject(signal.reason)
          const cancel = later(milliseconds, () => {
            signal.removeEventListener('abort', abort)
            resolve()
          })
          const abort = () => {
            cancel()
            reject(signal.reason)
          }
          signal.addEventListener('abort', abort, { once: true })
        }),
    },
  }
}

/**
 * A limiter with the semantics of the real one, in memory, on a clock of the test's own: nothing sleeps, and
 * every time it answers is exact.
 *
 * @example
 * ```ts
 * const clock = fakeClock()
 * await using limiter = createTestLimiter({ clock, policies: { api: gcra({ limit: 1, per: '1m' }) } })
 * await limiter.check('user:1')
 * await clock.advance('1m')
 * ```
 */
export function createTestLimiter<Name extends string>(options: TestLimiterOptions<Name>): RateLimiter<Name> {
  const { clock, ...rest } = options
  if (!clock?.time) {
    throw new LimitConfigError('LIMIT_ERR_BAD_OPTION', 'createTestLimiter: clock must be made by fakeClock()')
  }
  return limiterOn(rest, clock.time)
}

function earliest(timers: ReadonlySet<Timer>, end: number): Timer | undefined {
  let first: Timer | undefined
  for (const timer of timers) if (timer.at <= end && (!first || timer.at < first.at)) first = timer
  return first
}

// What a callback set in motion has a few promises to go; no real timer is among them.
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await undefined
}
