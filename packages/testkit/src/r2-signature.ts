import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { R2Headers } from './r2-headers.ts'
import { S3Error } from './r2-s3-error.ts'
import type { R2Target } from './r2-uri.ts'
import { encodeUri } from './r2-uri.ts'

/** What a request says about its own signature, before anything is verified. */
export interface SignatureClaim {
  readonly form: 'header' | 'query'
  readonly accessKeyId: string
  /** Signing time, ms since the epoch. */
  readonly signedAt: number
  /** End of validity of a presigned URL, ms since the epoch. */
  readonly expiresAt: number | undefined
  readonly amzDate: string
  readonly scope: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  /** The payload hash the signature covers: a hex SHA-256 or one of the literal markers of SigV4. */
  readonly payloadHash: string
  readonly sessionToken: string | undefined
}

/** What the payload of a verified request continues from: the chain of chunk signatures starts with the seed. */
export interface VerifiedSignature {
  readonly signingKey: Buffer
  readonly seed: string
  readonly amzDate: string
  readonly scope: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const MAX_SKEW = 15 * 60_000
const MAX_EXPIRY_SECONDS = 604_800
const PAYLOAD_HASH =
  /^([0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-UNSIGNED-PAYLOAD-TRAILER|STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?)$/
const REGIONS = new Set(['auto', '', 'us-east-1', 'wnam', 'enam', 'weur', 'eeur', 'apac', 'oc'])

/**
 * Reads the claim from the `Authorization` header or from the query of a presigned URL.
 *
 * @throws S3Error when there is none, when there are two, or when it is malformed.
 */
export function readClaim(target: R2Target, headers: R2Headers): SignatureClaim {
  const authorization = headers.get('authorization')
  const inQuery = target.query.has('X-Amz-Signature') || target.query.has('X-Amz-Algorithm')
  if (authorization !== undefined && inQuery)
    throw new S3Error('InvalidRequest', 'Sign in the Authorization header or in the query, not in both.')
  if (authorization === undefined && !inQuery) throw new S3Error('InvalidArgument', 'Authorization')
  const claim =
    authorization === undefined
      ? claimFromQuery(target.query, headers)
      : claimFromHeader(authorization, headers)
  // A value that nothing is checked against would leave the payload unprotected without a word.
  if (!PAYLOAD_HASH.test(claim.payloadHash))
    throw new S3Error('InvalidArgument', 'The x-amz-content-sha256 is neither a SHA-256 nor a mode of SigV4.')
  return claim
}

/**
 * Proves that the holder of the secret signed exactly this request, now.
 *
 * @throws S3Error on a wrong signature, an expired URL, a clock more than 15 minutes off, or an `x-amz-*` header that
 * came with the request but is not covered by the signature.
 */
export function verifySignature(
  method: string,
  target: R2Target,
  headers: R2Headers,
  claim: SignatureClaim,
  secret: string,
  now: number,
): VerifiedSignature {
  const { signedHeaders, amzDate, scope } = claim
  if (!signedHeaders.includes('host')) throw new S3Error('AccessDenied', 'The host header must be signed.')
  for (const name of headers.names()) {
    if (name.startsWith('x-amz-') && !signedHeaders.includes(name))
      throw new S3Error('AccessDenied', 'The request has x-amz headers that are not signed.')
  }
  const canonicalHeaders: string[] = []
  for (const name of signedHeaders) {
    const value = headers.get(name)
    if (value === undefined) throw new S3Error('SignatureDoesNotMatch', 'A signed header is missing.')
    // Runs of spaces count as one in the signature only: what is stored keeps them.
    canonicalHeaders.push(`${name}:${value.replace(/\s+/g, ' ')}\n`)
  }
  const [date = '', region = ''] = scope.split('/')
  const signingKey = deriveKey(secret, date, region)
  const tail = [
    canonicalQuery(target.query),
    canonicalHeaders.join(''),
    signedHeaders.join(';'),
    claim.payloadHash,
  ].join('\n')
  const matches = [target.canonicalPath, target.rawPath].some((path) => {
    const request = createHash('sha256').update(`${method}\n${path}\n${tail}`).digest('hex')
    return sameHex(sign(signingKey, `${ALGORITHM}\n${amzDate}\n${scope}\n${request}`), claim.signature)
  })
  if (!matches) throw new S3Error('SignatureDoesNotMatch')
  if (claim.expiresAt === undefined) {
    if (Math.abs(now - claim.signedAt) > MAX_SKEW) throw new S3Error('RequestTimeTooSkewed')
  } else {
    if (claim.signedAt - now > MAX_SKEW) throw new S3Error('RequestTimeTooSkewed')
    if (now >= claim.expiresAt) throw new S3Error('ExpiredRequest')
  }
  return { signingKey, seed: claim.signature, amzDate, scope }
}

/** HMAC-SHA256 in hex. */
export function sign(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

/** Compares two hex digests in constant time. */
export function sameHex(expected: string, given: string): boolean {
  const a = Buffer.from(expected, 'hex')
  const b = Buffer.from(given, 'hex')
  return a.length === b.length && given.length === expected.length && timingSafeEqual(a, b)
}

function claimFromHeader(authorization: string, headers: R2Headers): SignatureClaim {
  const match =
    /^AWS4-HMAC-SHA256 ?Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    )
  if (match === null) throw new S3Error('InvalidArgument', 'Authorization')
  const [, credential = '', signed = '', signature = ''] = match
  const payloadHash = headers.get('x-amz-content-sha256')
  if (payloadHash === undefined)
    throw new S3Error('InvalidRequest', 'The header x-amz-content-sha256 is missing.')
  const date = headers.get('x-amz-date') ?? headers.get('date') ?? ''
  return {
    form: 'header',
    ...parseCredential(credential, amzForm(date)),
    expiresAt: undefined,
    signedHeaders: signed.split(';'),
    signature,
    payloadHash,
    sessionToken: headers.get('x-amz-security-token'),
  }
}

function claimFromQuery(query: ReadonlyMap<string, string>, headers: R2Headers): SignatureClaim {
  const signature = query.get('X-Amz-Signature') ?? ''
  const expires = query.get('X-Amz-Expires') ?? ''
  if (query.get('X-Amz-Algorithm') !== ALGORITHM || !/^[0-9a-f]{64}$/.test(signature))
    throw new S3Error('InvalidArgument', 'The presigned URL is malformed.')
  if (!/^\d{1,6}$/.test(expires) || Number(expires) < 1 || Number(expires) > MAX_EXPIRY_SECONDS)
    throw new S3Error('InvalidArgument', 'A presigned URL is valid for 1 second to 7 days.')
  const claim = parseCredential(query.get('X-Amz-Credential') ?? '', query.get('X-Amz-Date') ?? '')
  return {
    form: 'query',
    ...claim,
    expiresAt: claim.signedAt + Number(expires) * 1000,
    signedHeaders: (query.get('X-Amz-SignedHeaders') ?? '').split(';'),
    signature,
    payloadHash:
      headers.get('x-amz-content-sha256') ?? query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD',
    sessionToken: query.get('X-Amz-Security-Token'),
  }
}

function parseCredential(credential: string, amzDate: string) {
  const parts = credential.split('/')
  const [date = '', region = '', service, terminator] = parts.slice(-4)
  const accessKeyId = parts.slice(0, -4).join('/')
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate)
  if (parts.length < 5 || service !== 's3' || terminator !== 'aws4_request' || time === null)
    throw new S3Error('InvalidArgument', 'The credential scope or the date of the signature is malformed.')
  if (!REGIONS.has(region)) throw new S3Error('InvalidRegionName')
  const [, y = '', mo = '', d = '', h = '', mi = '', s = ''] = time
  const signedAt = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
  if (date !== `${y}${mo}${d}` || Number.isNaN(signedAt))
    throw new S3Error('InvalidArgument', 'The date of the credential scope is not the date of the signature.')
  return { accessKeyId, signedAt, amzDate, scope: parts.slice(-4).join('/') }
}

// A client without x-amz-date signs its Date header, which is written in the form of HTTP.
function amzForm(date: string): string {
  if (/^\d{8}T/.test(date)) return date
  const time = Date.parse(date)
  return Number.isNaN(time) ? '' : new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function canonicalQuery(query: ReadonlyMap<string, string>): string {
  const pairs: string[] = []
  for (const [name, value] of query)
    if (name !== 'X-Amz-Signature') pairs.push(`${encodeUri(name)}=${encodeUri(value)}`)
  return pairs.sort().join('&')
}

function deriveKey(secret: string, date: string, region: string): Buffer {
  let key: Buffer = Buffer.from(`AWS4${secret}`)
  for (const part of [date, region, 's3', 'aws4_request'])
    key = createHmac('sha256', key).update(part).digest()
  return key
}
