import { fixedWindow, gcra, quota, slidingLog, tokenBucket } from '../../src/index.ts'

/** The exact policies that a fleet of processes asks for. */
export const FLEET_POLICIES = {
  gcra: gcra({ limit: 50, per: '1s', burst: 20 }),
  bucket: tokenBucket({ capacity: 30, refill: 40, per: '1s' }),
  interval: tokenBucket({ capacity: 30, refill: 10, per: 300, style: 'interval' }),
  fixed: fixedWindow({ limit: 25, per: 400 }),
  log: slidingLog({ limit: 30, per: 500 }),
  hourly: quota({ limit: 200, period: 'hour' }),
}

/** What a policy would have decided at a moment, told nothing but the admissions before it. Microseconds. */
export interface Ledger {
  /** Whether one unit more fits. */
  fits(at: number): boolean
  admit(at: number): void
}

const SECOND = 1_000_000

// Twentieths of a milli-unit and the like: the smallest part that comes back in one microsecond.
function leaking(capacity: number, parts: number): Ledger {
  let level = 0
  let seen = 0
  const drain = (at: number) => {
    level = Math.max(0, level - (at - seen))
    seen = at
  }
  return {
    fits(at) {
      drain(at)
      return level + parts <= capacity * parts
    },
    admit(at) {
      drain(at)
      level += parts
    },
  }
}

function stepping(capacity: number, refill: number, window: number): Ledger {
  let used = 0
  let start = 0
  const advance = (at: number) => {
    while (used > 0 && at >= start + window) {
      used = Math.max(0, used - refill)
      start += window
    }
    if (used === 0) start = at
  }
  return {
    fits(at) {
      advance(at)
      return used < capacity
    },
    admit(at) {
      advance(at)
      used++
    },
  }
}

/** Written from what the policies promise, without a line of the package. */
export const LEDGERS: { readonly [Policy in keyof typeof FLEET_POLICIES]: () => Ledger } = {
  gcra: () => leaking(20, SECOND / 50),
  bucket: () => leaking(30, SECOND / 40),
  interval: () => stepping(30, 10, 300_000),
  fixed: () => stepping(25, 25, 400_000),
  log() {
    const times: number[] = []
    return {
      fits: (at) => times.filter((time) => time > at - 500_000).length < 30,
      admit(at) {
        times.push(at)
        if (times.length > 60) times.shift()
      },
    }
  },
  hourly() {
    const counts = new Map<number, number>()
    const hour = (at: number) => Math.floor(at / (3_600 * SECOND))
    return {
      fits: (at) => (counts.get(hour(at)) ?? 0) < 200,
      admit: (at) => void counts.set(hour(at), (counts.get(hour(at)) ?? 0) + 1),
    }
  },
}
