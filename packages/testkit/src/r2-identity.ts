import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { R2Operation } from './r2-operation.ts'
import { S3Error } from './r2-s3-error.ts'

/** A preset of permitted operations, as R2's API tokens have them. */
export type R2Permission = 'object-read-only' | 'object-read-write' | 'admin-read-only' | 'admin-read-write'

/** What a holder of credentials may do. */
export interface R2Identity {
  readonly secret: string
  readonly permission: R2Permission
  /** Further limits, of temporary credentials; undefined for an API token. */
  readonly grant: R2Grant | undefined
}

/** The scope of temporary credentials, as it stands in their session token. */
interface R2Grant {
  readonly bucket: string
  readonly scope: R2Permission | undefined
  readonly actions: ReadonlySet<string> | undefined
  readonly prefixes: readonly string[]
  readonly objects: readonly string[]
  /** Whether any path is listed; without, the whole bucket is granted. */
  readonly limitsPaths: boolean
}

const MAX_TOKEN = 8192
const MAX_SKEW_SECONDS = 15 * 60
const PERMISSIONS = ['object-read-only', 'object-read-write', 'admin-read-only', 'admin-read-write'] as const
const READS = new Set<R2Operation>([
  'GetObject',
  'HeadObject',
  'HeadBucket',
  'ListObjectsV1',
  'ListObjectsV2',
  'ListParts',
  'ListMultipartUploads',
  'GetBucketLocation',
])
// The keys of a DeleteObjects are in its body and judged one by one.
const WITHOUT_KEY = new Set<R2Operation>(['DeleteObjects', 'HeadBucket', 'GetBucketLocation'])
const ADMIN_READS = new Set<R2Operation>([
  'ListBuckets',
  'GetBucketCors',
  'GetBucketEncryption',
  'GetBucketLifecycleConfiguration',
])
const ADMIN_WRITES = new Set<R2Operation>([
  'CreateBucket',
  'DeleteBucket',
  'PutBucketCors',
  'DeleteBucketCors',
  'PutBucketLifecycleConfiguration',
  'DeleteBucketLifecycle',
])

/**
 * The identity behind a session token of R2: base64 of `jwt/` and a JWT that the parent's secret signed with HS256.
 * Its own secret is the hex SHA-256 of that JWT, so it needs no record anywhere.
 *
 * @throws S3Error Unauthorized for a token that is malformed, forged or for another account or host; ExpiredRequest for
 * one that is past its time.
 */
export function temporaryIdentity(
  parent: R2Identity,
  accessKeyId: string,
  token: string,
  expected: { readonly accountId: string; readonly host: string; readonly now: number },
): R2Identity {
  const text = token.length > MAX_TOKEN ? '' : Buffer.from(token, 'base64').toString('latin1')
  const [header = '', payload = '', signature = '', more] = text.startsWith('jwt/')
    ? text.slice(4).split('.')
    : []
  if (signature === '' || more !== undefined) return refuse()
  const genuine = createHmac('sha256', parent.secret).update(`${header}.${payload}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== genuine.length || !timingSafeEqual(given, genuine)) return refuse()
  const claims = decode(payload)
  if (decode(header).alg !== 'HS256' || claims.iss !== accessKeyId) return refuse()
  if (claims.sub !== expected.accountId || claims.aud !== expected.host) return refuse()
  const seconds = expected.now / 1000
  if (
    typeof claims.exp !== 'number' ||
    (typeof claims.iat === 'number' && claims.iat > seconds + MAX_SKEW_SECONDS)
  )
    return refuse()
  if (claims.exp <= seconds) throw new S3Error('ExpiredRequest', 'The temporary credentials have expired.')
  return {
    secret: createHash('sha256').update(text.slice(4)).digest('hex'),
    permission: parent.permission,
    grant: readGrant(claims),
  }
}

/** Refuses what the identity may not do to that bucket and key. `key` is a prefix for listings, `''` for buckets. */
export function authorize(identity: R2Identity, operation: R2Operation, bucket: string, key: string): void {
  if (!permits(identity.permission, operation)) throw new S3Error('AccessDenied')
  const { grant } = identity
  if (grant === undefined) return
  const allowed =
    grant.bucket === bucket &&
    operation !== 'ListBuckets' &&
    (grant.scope === undefined || permits(grant.scope, operation)) &&
    (grant.actions === undefined || grant.actions.has(operation)) &&
    (WITHOUT_KEY.has(operation) || reaches(identity, key))
  if (!allowed) throw new S3Error('AccessDenied')
}

/** Whether the paths of a temporary credential include the key. */
export function reaches(identity: R2Identity, key: string): boolean {
  const { grant } = identity
  if (grant === undefined || !grant.limitsPaths) return true
  return grant.prefixes.some((prefix) => key.startsWith(prefix)) || grant.objects.includes(key)
}

/** Whether the value names one of the presets. */
export function isPermission(value: unknown): value is R2Permission {
  return PERMISSIONS.some((permission) => permission === value)
}

function permits(permission: R2Permission, operation: R2Operation): boolean {
  if (READS.has(operation)) return true
  if (ADMIN_READS.has(operation)) return permission.startsWith('admin')
  if (ADMIN_WRITES.has(operation)) return permission === 'admin-read-write'
  return permission.endsWith('read-write')
}

function readGrant(claims: Readonly<Record<string, unknown>>): R2Grant {
  const { bucket, scope, actions, paths } = claims
  const { prefixPaths, objectPaths } = (paths ?? {}) as Readonly<Record<string, unknown>>
  const prefixes = strings(prefixPaths)
  const objects = strings(objectPaths)
  if (typeof bucket !== 'string' || (scope !== undefined && !isPermission(scope))) return refuse()
  if (scope === undefined && actions === undefined) return refuse()
  return {
    bucket,
    scope,
    actions: actions === undefined ? undefined : new Set(strings(actions)),
    prefixes,
    objects,
    limitsPaths: prefixes.length + objects.length > 0,
  }
}

function strings(value: unknown): readonly string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) return refuse()
  return value
}

function decode(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Not JSON: refused below like any other forgery.
  }
  return refuse()
}

function refuse(): never {
  throw new S3Error('Unauthorized', 'The session token is not valid here.')
}
