import { createHash } from 'node:crypto'
import type { OptionReader } from '@cays/core/options'
import { MAX_PARTS } from './part-plan.ts'
import type { TicketClaims } from './ticket.ts'

/** Digests in base64, one for each part of the size that `partSizeFor` gives. */
export interface PartDigests {
  readonly partSha256?: readonly string[] | undefined
  readonly partMd5?: readonly string[] | undefined
}

/** SHA-256 and MD5 in base64. */
export const SHA256: RegExp = /^[A-Za-z0-9+/]{43}=$/
export const MD5: RegExp = /^[A-Za-z0-9+/]{22}==$/

/** One digest for all parts: that of their digests. */
export function digestOfParts(digests: readonly string[]): string {
  const digest = createHash('sha256')
  for (const part of digests) digest.update(part, 'base64')
  return digest.digest('base64')
}

/** Whether these are the digests that the upload began with. */
export function areOf(
  { partSha256, partMd5 }: PartDigests,
  { multipart, sha256, md5 }: TicketClaims,
): boolean {
  const same = (digests: readonly string[] | undefined, digest: string | undefined) =>
    digests !== undefined && digestOfParts(digests) === digest
  return (!multipart?.hashed || same(partSha256, sha256)) && (md5 === undefined || same(partMd5, md5))
}

/** The digests of a request, when they are some. */
export function readPartDigests(read: OptionReader, { partSha256, partMd5 }: PartDigests): PartDigests {
  const check = (name: string, digests: readonly string[] | undefined, pattern: RegExp) => {
    if (digests === undefined) return
    const valid =
      Array.isArray(digests) && digests.length <= MAX_PARTS && digests.every((digest) => pattern.test(digest))
    if (!valid) read.fail(`${name} must list one digest in base64 for each part`)
  }
  check('partSha256', partSha256, SHA256)
  check('partMd5', partMd5, MD5)
  return { partSha256, partMd5 }
}
