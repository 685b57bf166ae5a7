import { describe, expect, it } from 'vitest'
import { type CalendarPeriod, calendar } from '../../src/calendar.ts'

const QUARTER = 15 * 60_000
const DAY = 86_400_000

/** What a period is called there: two moments are in the same one if its names are equal. */
function namer(period: CalendarPeriod, timeZone: string): (instant: number) => string {
  // Swedes write dates as ISO 8601 does.
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' })
  return (instant) => {
    const [date = '', time = ''] = format.format(instant).split(' ')
    // An hour that comes twice is two hours.
    if (period === 'hour') return `${date} ${time.slice(0, 2)} ${Date.parse(`${date}T${time}Z`) - instant}`
    // 5 January 1970 was a Monday.
    if (period === 'week') return String(Math.floor((Date.parse(date) / DAY - 4) / 7))
    return date.slice(0, { day: 10, month: 7, year: 4 }[period])
  }
}

describe('calendar windows', () => {
  it.each([
    { zone: 'UTC', around: '2026-01-01', note: 'nothing changes' },
    { zone: 'Asia/Kathmandu', around: '2026-02-01', note: 'hours begin at a quarter past' },
    { zone: 'Europe/Berlin', around: '2026-03-29', note: 'clocks go forward' },
    { zone: 'Europe/Berlin', around: '2026-10-25', note: 'clocks go back' },
    { zone: 'America/New_York', around: '2026-11-01', note: 'clocks go back on the first of a month' },
    { zone: 'America/Havana', around: '2026-03-08', note: 'a day has no midnight' },
    { zone: 'America/Havana', around: '2026-11-01', note: 'a day has two midnights' },
    { zone: 'America/Santiago', around: '2026-09-06', note: 'a day has no midnight' },
    { zone: 'America/Asuncion', around: '2017-10-01', note: 'a month has no first midnight' },
    { zone: 'Africa/Cairo', around: '2026-04-24', note: 'a day has no midnight, east of Greenwich' },
    { zone: 'Asia/Beirut', around: '2026-10-25', note: 'midnight is put off by an hour' },
    { zone: 'Atlantic/Azores', around: '2026-03-29', note: 'a day has no midnight, at UTC' },
    { zone: 'Pacific/Auckland', around: '2026-04-05', note: 'clocks go back far in the east' },
    { zone: 'Pacific/Apia', around: '2011-12-30', note: 'there is no such day' },
  ])('begin and end as the clocks in $zone say around $around, where $note', ({ zone, around }) => {
    const middle = Date.parse(around)
    const wrong: unknown[] = []
    for (const period of ['hour', 'day', 'week', 'month', 'year'] as const) {
      const { windows } = calendar(period, zone)
      const nameOf = namer(period, zone)
      let name = nameOf(middle - 2 * DAY)
      let start: number | undefined
      let told = new Set<number>()
      for (let at = middle - 2 * DAY; at < middle + 2 * DAY; at += QUARTER) {
        const now = nameOf(at)
        if (now !== name) {
          // Everybody was told the same end since the last one, and this is it.
          if (told.size !== 1 || !told.has(at * 1_000)) wrong.push({ period, end: new Date(at), told })
          name = now
          start = at * 1_000
          told = new Set()
        }
        const list = windows(at * 1_000)
        const [, , , from = 0, to = 0] = list
        told.add(to)
        if (list.length !== 7 || list.some((each, index) => each < (list[index - 1] ?? 0))) wrong.push(list)
        if (from > at * 1_000 || (start !== undefined && from !== start)) {
          wrong.push({ period, at: new Date(at), from: new Date(from / 1_000) })
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it('hold the moment they are asked for where clocks move by half an hour', () => {
    const { windows } = calendar('hour', 'Australia/Lord_Howe')
    for (const around of ['2026-04-04', '2026-10-03']) {
      for (let at = Date.parse(around); at < Date.parse(around) + 2 * DAY; at += QUARTER) {
        const [, , , from = 0, to = 0] = windows(at * 1_000)
        expect(from).toBeLessThanOrEqual(at * 1_000)
        expect(to).toBeGreaterThan(at * 1_000)
      }
    }
  })
})
