import { decode } from './codec.ts'

/** A value as another process stored it. */
export interface Envelope {
  /** Soft expiry by the server's clock, ms. */
  readonly expires: number
  /** The namespace sequence its loader knew before it loaded. */
  readonly seq: number
  readonly tags: readonly string[]
  /** Its own grace, in milliseconds; `undefined` leaves it to the reader's. */
  readonly grace: number | undefined
  readonly value: unknown
}

/** The client's part of a stored value; the script puts version, expiry and run id (24 characters) before it. */
export function seal(
  key: string,
  epoch: string,
  { seq, tags, grace }: Pick<Envelope, 'seq' | 'tags' | 'grace'>,
  encoded: string,
): string {
  const about = grace === undefined ? (tags.length > 0 ? [key, tags] : [key]) : [key, tags, grace]
  return `${epoch}|${seq}|${JSON.stringify(about)}\n${encoded}`
}

/** Reads a stored value; `undefined` when it is not one of this key, or not readable by this version. */
export function open(key: string, raw: string): Envelope | undefined {
  try {
    const expires = Number(raw.slice(1, 14))
    const end = raw.indexOf('\n')
    const afterEpoch = raw.indexOf('|', 24)
    const afterSeq = raw.indexOf('|', afterEpoch + 1)
    const about = JSON.parse(raw.slice(afterSeq + 1, end)) as [string, string[]?, number?]
    const [storedKey, tags = [], grace] = about
    if (storedKey !== key) return undefined
    const seq = Number(raw.slice(afterEpoch + 1, afterSeq))
    return { expires, seq, tags, grace, value: decode(raw.slice(end + 1)) }
  } catch {
    return undefined
  }
}
