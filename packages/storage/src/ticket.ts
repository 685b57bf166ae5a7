import { createHmac, timingSafeEqual } from 'node:crypto'

/** What a ticket says; the bearer can read it and cannot change it. */
export interface TicketClaims {
  /** Random; the final key ends in it. */
  readonly id: string
  /** Name of the upload's definition. */
  readonly purpose: string
  /** Whose it is, as given to `issue`. */
  readonly subject: string
  readonly type: string
  readonly size: number
  readonly name: string
  /** Base64, when the caller gave it: of the bytes, or of the digests of the parts when those are `hashed`. */
  readonly sha256: string | undefined
  /** The same, of an MD5 that the provider checks. */
  readonly md5: string | undefined
  /** Milliseconds since the epoch: when the signed URLs end. */
  readonly expiresAt: number
  /** Milliseconds since the epoch: until when it may be completed. */
  readonly completeBy: number
  readonly multipart:
    | { readonly uploadId: string; readonly partSize: number; readonly hashed: boolean }
    | undefined
}

/** A MAC over text, so that any node of an app can verify what another issued, with no shared store. */
export class TicketSigner {
  readonly #secret: string

  constructor(secret: string) {
    this.#secret = secret
  }

  sign(claims: TicketClaims): string {
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `${body}.${this.#mac(body).toString('base64url')}`
  }

  /** The claims of a ticket that is ours; who may use it, and until when, is for the caller to hold them against. */
  open(token: unknown): TicketClaims | undefined {
    if (typeof token !== 'string' || token.length > MAX_TOKEN) return undefined
    const [body, mac, ...rest] = token.split('.')
    if (!body || !mac || rest.length > 0) return undefined
    // As text: base64 has several spellings of the same bytes.
    const expected = Buffer.from(this.#mac(body).toString('base64url'))
    const given = Buffer.from(mac)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    return JSON.parse(Buffer.from(body, 'base64url').toString()) as TicketClaims
  }

  #mac(body: string): Buffer {
    return createHmac('sha256', this.#secret).update(`cays.storage.ticket.1\0${body}`).digest()
  }
}

const MAX_TOKEN = 8_192
