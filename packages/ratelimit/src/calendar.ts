/** A period that begins at the same moment for everybody, in the calendar's time zone. */
export type CalendarPeriod = 'hour' | 'day' | 'week' | 'month' | 'year'

export const CALENDAR_PERIODS: readonly CalendarPeriod[] = ['hour', 'day', 'week', 'month', 'year']

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Nominal length in milliseconds, for headers and telemetry; the real one follows the calendar. */
export const PERIOD_LENGTH: Readonly<Record<CalendarPeriod, number>> = {
  hour: HOUR,
  day: DAY,
  week: 7 * DAY,
  month: 30 * DAY,
  year: 365 * DAY,
}

export interface Calendar {
  /** Starts, in microseconds, of seven consecutive windows: three before `now`, its own, and three after. */
  windows(now: number): readonly number[]
}

/**
 * Windows that begin at local midnight (or the local full hour, Monday, first of the month, first of January)
 * in a time zone, daylight saving included. Throws a RangeError for an unknown zone.
 */
export function calendar(period: CalendarPeriod, timeZone: string): Calendar {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })

  // The instant's wall clock reading, taken as if it were UTC.
  function local(instant: number): number {
    const parts: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(instant)) parts[type] = Number(value)
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }

  // When clocks there begin to show a time. Where they are put back over it, the first of both moments; where they
  // are put forward over it, the moment they are.
  function instantOf(wall: number): number {
    const offsetAt = (instant: number) => local(instant) - instant
    const [first, second] = [wall - offsetAt(wall - DAY), wall - offsetAt(wall + DAY)] as const
    return local(first) !== wall && local(second) === wall ? second : first
  }

  function start(now: number, shift: number): number {
    const wall = local(now)
    if (period === 'hour') {
      const offset = wall - Math.floor(now / 1_000) * 1_000
      return Math.floor((now + offset) / HOUR) * HOUR - offset + shift * HOUR
    }
    const date = new Date(wall)
    const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
    if (period === 'year') return instantOf(Date.UTC(year + shift, 0, 1))
    if (period === 'month') return instantOf(Date.UTC(year, month + shift, 1))
    if (period === 'day') return instantOf(Date.UTC(year, month, day + shift))
    return instantOf(Date.UTC(year, month, day - ((date.getUTCDay() + 6) % 7) + 7 * shift))
  }

  let cached: readonly number[] = []
  return {
    windows(now) {
      const [, , , from = Number.POSITIVE_INFINITY, to = 0] = cached
      if (now < from || now >= to) {
        cached = [-3, -2, -1, 0, 1, 2, 3].map((shift) => start(Math.floor(now / 1_000), shift) * 1_000)
      }
      return cached
    },
  }
}
