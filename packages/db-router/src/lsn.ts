/**
 * A place in the write-ahead log. Positions compare only within one timeline of one system: after a failover the
 * new primary writes other bytes at the same addresses.
 */
export interface Position {
  /** Identifier of the database system: the same on a primary and all its replicas. */
  readonly system: string
  readonly timeline: number
  /** Byte address in the log; exact up to 2^53. */
  readonly lsn: number
}

const PATTERN = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i

/** The number behind Postgres' text form `X/Y`, or `undefined` when it is none. */
export function parseLsn(text: string): number | undefined {
  const match = PATTERN.exec(text)
  if (!match) return undefined
  const lsn = Number.parseInt(match[1] as string, 16) * 2 ** 32 + Number.parseInt(match[2] as string, 16)
  return Number.isSafeInteger(lsn) ? lsn : undefined
}

export function formatLsn(lsn: number): string {
  const high = Math.floor(lsn / 2 ** 32)
  return `${high.toString(16).toUpperCase()}/${(lsn - high * 2 ** 32).toString(16).toUpperCase()}`
}

/** Positions of different logs prove nothing about each other. */
export function sameLog(one: Position, two: Position): boolean {
  return one.timeline === two.timeline && one.system === two.system
}

export function reaches(seen: Position, wanted: Position): boolean {
  return seen.lsn >= wanted.lsn && sameLog(seen, wanted)
}
