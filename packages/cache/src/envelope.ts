import { decode, encode } from './codec.ts'
import { pack, unpack } from './compression.ts'
import { isEncrypted, type Vault } from './encryption.ts'
import type { Settings } from './options.ts'

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
  /** {@link UNREADABLE} when it is of this key, and nothing else can be said of it. */
  readonly value: unknown
}

/** In the place of a value that was changed in Redis, or is encrypted with a key that is not known here. */
export const UNREADABLE: unique symbol = Symbol('unreadable')

/** A value in the form in which Redis keeps it, but for encryption: text, or the bytes of a compressed one. */
export type Packed = string | Buffer

/** The first character of a compressed text; the codec's own are `j` and `t`. */
const COMPRESSED = 'b'
const COMPRESSED_BYTES = Buffer.from(COMPRESSED)

/** How values are written to Redis and read again: encoded, compressed, encrypted, with what is known about them. */
export class Envelopes {
  readonly #settings: Settings['l2']
  readonly #vault: Vault | undefined
  readonly #unreadable: (key: string) => void

  constructor(settings: Settings['l2'], unreadable: (key: string) => void) {
    this.#settings = settings
    this.#vault = settings.vault
    this.#unreadable = unreadable
  }

  /** Nothing when it is too large for Redis. */
  async pack(value: unknown): Promise<Packed | undefined> {
    return await pack(encode(value), this.#settings)
  }

  /** The client's part of a stored value; the script puts version, expiry and run id (24 characters) before it. */
  seal(
    key: string,
    epoch: string,
    { seq, tags, grace, took }: Pick<Envelope, 'seq' | 'tags' | 'grace' | 'took'>,
    packed: Packed,
  ): string {
    const plain = grace === undefined && took === undefined
    const about = plain ? (tags.length > 0 ? [key, tags] : [key]) : [key, tags, grace ?? null, took ?? null]
    const head = `${epoch}|${seq}|${JSON.stringify(about)}`
    return `${head}\n${this.#vault ? encrypted(this.#vault, head, packed) : textOf(packed)}`
  }

  /**
   * Reads a stored value; `undefined` when it is none of this key. Has it more than `maxEntryBytes` in a compressed
   * form, it is unreadable. A promise only for compressed ones.
   */
  open(key: string, raw: string): Envelope | undefined | Promise<Envelope | undefined> {
    const end = raw.indexOf('\n')
    const afterEpoch = raw.indexOf('|', 24)
    const afterSeq = raw.indexOf('|', afterEpoch + 1)
    const about = aboutOf(key, raw, afterSeq + 1, end)
    if (about?.[0] !== key) return undefined
    const expires = numberIn(raw, 1, 14)
    const seq = numberIn(raw, afterEpoch + 1, afterSeq)
    try {
      const packed = this.#packedOf(raw, end)
      if (typeof packed === 'string') return envelopeOf(about, expires, seq, decode(packed))
      if (packed) return this.#unpack(key, packed, about, expires, seq)
    } catch {
      // What cannot be decoded is as good as what cannot be decrypted.
    }
    this.#unreadable(key)
    return envelopeOf(about, expires, seq, UNREADABLE)
  }

  /** The message of a failed load, for other processes. */
  sealFailure(key: string, message: string): string {
    return this.#vault ? this.#vault.seal(`!${key}`, message) : message
  }

  openFailure(key: string, message: string): string {
    return this.#vault ? String(this.#vault.open(`!${key}`, message) ?? '') : message
  }

  async #unpack(key: string, packed: Buffer, about: About, expires: number, seq: number): Promise<Envelope> {
    try {
      const encoded = await unpack(packed, this.#settings.maxEntryBytes)
      return envelopeOf(about, expires, seq, decode(encoded))
    } catch {
      this.#unreadable(key)
      return envelopeOf(about, expires, seq, UNREADABLE)
    }
  }

  /** What comes after the line at whose end `end` is. */
  #packedOf(raw: string, end: number): Packed | undefined {
    const text = raw.slice(end + 1)
    if (!this.#vault) {
      if (isEncrypted(text)) return undefined
      return text.startsWith(COMPRESSED) ? Buffer.from(text.slice(1), 'base64') : text
    }
    // What is not encrypted is nobody's value here: else whoever can write to Redis could do without a key.
    const bytes = this.#vault.open(raw.slice(24, end), text)
    if (!bytes) return undefined
    return bytes[0] === COMPRESSED_BYTES[0] ? bytes.subarray(1) : bytes.toString()
  }
}

function textOf(packed: Packed): string {
  return typeof packed === 'string' ? packed : COMPRESSED + packed.toString('base64')
}

function encrypted(vault: Vault, head: string, packed: Packed): string {
  return vault.seal(head, typeof packed === 'string' ? packed : Buffer.concat([COMPRESSED_BYTES, packed]))
}

/** Key, tags, grace, load time. */
type About = readonly [string, (readonly string[])?, (number | null)?, (number | null)?]

/** Of most values it is the key alone, and then there is nothing to parse: `["key"]`. */
function aboutOf(key: string, raw: string, from: number, end: number): About | undefined {
  const alone = end - from === key.length + 4 && raw.startsWith(key, from + 2)
  if (alone && raw.startsWith('["', from) && raw.startsWith('"]', end - 2)) return [key]
  try {
    return JSON.parse(raw.slice(from, end)) as About
  } catch {
    return undefined
  }
}

/** Digits; NaN for anything else. In place, as it is done for a hundred values together. */
function numberIn(text: string, from: number, to: number): number {
  let number = from < to ? 0 : Number.NaN
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 48
    number = digit >= 0 && digit <= 9 ? number * 10 + digit : Number.NaN
  }
  return number
}

const NO_TAGS: readonly string[] = []

function envelopeOf(
  [, tags = NO_TAGS, grace, took]: About,
  expires: number,
  seq: number,
  value: unknown,
): Envelope {
  return { expires, seq, tags, grace: grace ?? undefined, took: took ?? undefined, value }
}
