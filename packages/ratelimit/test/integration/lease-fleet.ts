import { fixedWindow, gcra, slidingLog } from '../../src/index.ts'

/** What a fleet of processes leases; every policy has a subject of its own, named like it. */
export const LEASED = {
  maxShare: 0.2,
  policies: {
    gcra: gcra({ limit: 400, per: '1s', burst: 800 }),
    log: slidingLog({ limit: 400, per: '1s' }),
    fixed: fixedWindow({ limit: 40_000, per: '1d' }),
  },
}

/** An admission: when it was asked for and when it was known, in microseconds. */
export type Admitted = readonly [
  policy: keyof typeof LEASED.policies,
  asked: number,
  answered: number,
  leased: 0 | 1,
]

/**
 * The most by which admissions pass `burst + rate * time` in any span of time. An admission happened at some
 * moment between its two times; only spans that surely hold it count it.
 */
export function mostAbove(admitted: readonly Admitted[], burst: number, rate: number): number {
  const byAnswer = [...admitted].sort(([, , a], [, , b]) => a - b)
  const starts = admitted.map(([, asked]) => asked).sort((a, b) => a - b)
  const every = Math.max(1, Math.floor(starts.length / 500))
  let most = Number.NEGATIVE_INFINITY
  for (let index = 0; index < starts.length; index += every) {
    const start = starts[index] as number
    let count = 0
    for (const [, asked, answered] of byAnswer) {
      if (asked < start) continue
      count++
      most = Math.max(most, count - burst - rate * (answered - start))
    }
  }
  return most
}

/** The most admissions that are surely within one span of `window` microseconds. */
export function mostWithin(admitted: readonly Admitted[], window: number): number {
  const byAnswer = [...admitted].sort(([, , a], [, , b]) => a - b)
  let most = 0
  for (const [, start] of admitted) {
    let count = 0
    for (const [, asked, answered] of byAnswer) {
      if (answered >= start + window) break
      if (asked >= start) count++
    }
    most = Math.max(most, count)
  }
  return most
}
