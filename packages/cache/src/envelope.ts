import { decode } from './codec.ts'
import { isPacked, unpack } from './compression.ts'

/** A value as another process stored it. */
export interface Envelope {
  /** Soft expiry by the server's clock, ms. */
  readonly expires: number
  /** The namespace sequence its loader knew before it loaded. */
  readonly seq: number
  readonly tags: readonly string[]
  /** Its own grace, in milliseconds; `undefined` leaves it to the reader's. */
  readonly grace: number | undefined
  /** How long it took to load, in milliseconds; `undefined` when nobody needs to know. */
  readonly took: number | undefined
  readonly value: unknown
}

/** The client's part of a stored value; the script puts version, expiry and run id (24 characters) before it. */
export function seal(
  key: string,
  epoch: string,
  { seq, tags, grace, took }: Pick<Envelope, 'seq' | 'tags' | 'grace' | 'took'>,
  encoded: string,
): string {
  const plain = grace === undefined && took === undefined
  const about = plain ? (tags.length > 0 ? [key, tags] : [key]) : [key, tags, grace ?? null, took ?? null]
  return `${epoch}|${seq}|${JSON.stringify(about)}\n${encoded}`
}

/**
 * Reads a stored value; `undefined` when it is not one of this key, not readable by this version, or has more
 * than `limit` bytes in a compressed form. A promise only for compressed ones.
 */
export function open(
  key: string,
  raw: string,
  limit: number,
): Envelope | undefined | Promise<Envelope | undefined> {
  try {
    const end = raw.indexOf('\n')
    const afterEpoch = raw.indexOf('|', 24)
    const afterSeq = raw.indexOf('|', afterEpoch + 1)
    const about = aboutOf(key, raw, afterSeq + 1, end)
    if (about[0] !== key) return undefined
    const expires = Number(raw.slice(1, 14))
    const seq = Number(raw.slice(afterEpoch + 1, afterSeq))
    const text = raw.slice(end + 1)
    if (!isPacked(text)) return envelopeOf(expires, seq, about, text)
    return unpack(text, limit)
      .then((encoded) => envelopeOf(expires, seq, about, encoded))
      .catch(() => undefined)
  } catch {
    return undefined
  }
}

/** Key, tags, grace, load time. */
type About = readonly [string, (readonly string[])?, (number | null)?, (number | null)?]

/** Of most values it is the key alone, and then there is nothing to parse: `["key"]`. */
function aboutOf(key: string, raw: string, from: number, end: number): About {
  const alone = end - from === key.length + 4 && raw.startsWith(key, from + 2)
  if (alone && raw.startsWith('["', from) && raw.startsWith('"]', end - 2)) return [key]
  return JSON.parse(raw.slice(from, end)) as About
}

const NO_TAGS: readonly string[] = []

function envelopeOf(
  expires: number,
  seq: number,
  [, tags = NO_TAGS, grace, took]: About,
  encoded: string,
): Envelope {
  return { expires, seq, tags, grace: grace ?? undefined, took: took ?? undefined, value: decode(encoded) }
}
