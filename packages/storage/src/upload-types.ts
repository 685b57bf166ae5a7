import type { Call } from './bucket-types.ts'
import type { PartDigests } from './part-digests.ts'

/** What the browser says of the file it wants to send. */
export interface IssueRequest extends Call, PartDigests {
  /** Who may use the ticket, e.g. an account's id. */
  readonly subject: string
  /** The user's name for the file. */
  readonly name: string
  readonly size: number
  readonly type: string
  /** SHA-256 of the bytes in base64; the provider or `complete` then holds the upload against it. */
  readonly sha256?: string | undefined
  /**
   * MD5 of the bytes in base64, which every provider checks, also one that does not check SHA-256. Browsers cannot make
   * it. Files above 16 MiB need `partSha256` or `partMd5` instead.
   */
  readonly md5?: string | undefined
}

/** One part of a large file. */
export interface UploadPart {
  readonly url: string
  readonly size: number
  /** To be sent exactly so. */
  readonly headers: Readonly<Record<string, string>>
  /** True when it has arrived already; only `resume` looks. */
  readonly sent: boolean
}

/** What the browser needs to send one file straight to the bucket. */
export type UploadTicket = {
  /** For `complete`; bound to the subject, the purpose and this one file. */
  readonly token: string
  /** ISO 8601: until when sending may start; `resume` gives new URLs. */
  readonly expiresAt: string
} & (
  | { readonly kind: 'put'; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly kind: 'multipart'
      readonly partSize: number
      readonly parts: readonly UploadPart[]
    }
)

/** Why no ticket was issued, or why an upload was refused. */
export type RefusalReason =
  /** `issue`: a type that is not accepted. `complete`: the object has another type than the ticket. */
  | 'type'
  /** Empty, above `maxBytes`, or another number of bytes than the ticket says. */
  | 'size'
  /** Not a ticket of ours, or for another subject or purpose. */
  | 'ticket'
  | 'expired'
  /** Nothing, or not everything, has arrived. */
  | 'missing'
  /** The bytes are not, or not only, of the declared type. */
  | 'content'
  /** An image with too many pixels or pictures, or none that can be read. */
  | 'image'
  /** A document or archive that unpacks to too much, has macros, or is not in order. */
  | 'archive'
  /** The bytes do not have the digest of the ticket. */
  | 'checksum'
  /** `inspect` said no; `detail` has its reason. */
  | 'inspection'

/** Why not. `detail` is a sentence for the user, in English. */
export interface Refusal {
  readonly ok: false
  readonly reason: RefusalReason
  readonly detail: string
}

/** A ticket, or why there is none. */
export type IssueResult = { readonly ok: true; readonly ticket: UploadTicket } | Refusal

/** A file that was proven and has its final key. */
export interface UploadedObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly type: string
  /** The user's name for the file. */
  readonly name: string
}

/** How an upload ended. */
export type CompleteResult =
  | {
      readonly ok: true
      readonly object: UploadedObject
      /** `verified`: the bytes have the ticket's digest. `unverified`: the ticket has none, or nobody could check. */
      readonly checksum: 'verified' | 'unverified'
      /** True when this ticket was completed before: the object is the same, nothing was done. */
      readonly replayed: boolean
    }
  | Refusal

/** Which upload, by whom. */
export interface CompleteRequest extends Call {
  readonly token: string
  readonly subject: string
  /** Read the whole object again to check its SHA-256 where the provider cannot. @default false */
  readonly reread?: boolean | undefined
}

/** Which upload to go on with, and the digests of its parts when `issue` was given some. */
export interface ResumeRequest extends Call, PartDigests {
  readonly token: string
  readonly subject: string
}

export function refused(reason: RefusalReason, detail: string): Refusal {
  return { ok: false, reason, detail }
}
