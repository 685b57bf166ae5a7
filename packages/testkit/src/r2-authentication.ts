import type { R2Headers } from './r2-headers.ts'
import { type R2Identity, temporaryIdentity } from './r2-identity.ts'
import { S3Error } from './r2-s3-error.ts'
import { readClaim, type SignatureClaim, type VerifiedSignature, verifySignature } from './r2-signature.ts'
import type { R2Target } from './r2-uri.ts'

/** The account that requests are judged for. */
export interface R2Account {
  readonly accountId: string
  readonly identities: ReadonlyMap<string, R2Identity>
  /** ms since the epoch, by the server's clock */
  now(): number
}

// These carry the signature itself; all other x-amz parameters of a presigned URL stand for headers.
const SIGNATURE_PARAMETERS = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-signedheaders',
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-content-sha256',
])
/**
 * Finds out who sent a request and proves it. The `x-amz-*` parameters of a presigned URL then stand among the headers,
 * where clients would have put them had they not signed a URL.
 *
 * @throws S3Error for anyone whose signature does not hold
 */
export function authenticate(
  account: R2Account,
  method: string,
  target: R2Target,
  headers: R2Headers,
): { readonly claim: SignatureClaim; readonly identity: R2Identity; readonly signature: VerifiedSignature } {
  const { accountId, identities } = account
  const now = account.now()
  const claim = readClaim(target, headers)
  const { accessKeyId, sessionToken } = claim
  const parent = identities.get(accessKeyId)
  if (parent === undefined) throw new S3Error('Unauthorized')
  const expected = { accountId, host: headers.get('host') ?? '', now }
  const identity =
    sessionToken === undefined ? parent : temporaryIdentity(parent, accessKeyId, sessionToken, expected)
  const signature = verifySignature(method, target, headers, claim, identity.secret, now)
  if (claim.form === 'query')
    for (const [name, value] of target.query) {
      const lower = name.toLowerCase()
      if (lower.startsWith('x-amz-') && !SIGNATURE_PARAMETERS.has(lower)) headers.adopt(lower, value)
    }
  return { claim, identity, signature }
}
