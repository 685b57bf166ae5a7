/**
 * A length of time: a number of milliseconds, or a number with its unit such as `'250ms'`, `'5s'`,
 * `'1.5m'`, `'2h'` or `'7d'`. A day is 24 hours.
 */
export type Duration = number | `${number}${DurationUnit}`

/** Milliseconds, seconds, minutes, hours, days of 24 hours. */
export type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd'

const MILLISECONDS: Readonly<Record<DurationUnit, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** Timers in Node fire at once when asked to wait longer than this; about 24.8 days. */
export const MAX_TIMER: number = 2 ** 31 - 1

/**
 * Milliseconds of a duration, or `undefined` when it is none (negative, not finite, unknown unit, another
 * type). Whoever calls it says which option was wrong.
 */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = PATTERN.exec(value)
  if (!match) return undefined
  const milliseconds = Number(match[1]) * MILLISECONDS[match[2] as DurationUnit]
  return Number.isFinite(milliseconds) ? milliseconds : undefined
}
