import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { StorageUsageError } from './errors.ts'
import type { Credentials } from './presign.ts'
import type { Capabilities, Provider } from './provider.ts'
import { s3Provider } from './s3-provider.ts'

/** A bucket as it is named in `createStorage`; opens its provider when the storage is created. */
export interface BucketSource {
  /** @internal */
  open(): Provider
}

/** Where a bucket is, who asks, and what its server can do. */
export interface S3Options {
  readonly bucket: string
  readonly credentials: Credentials
  /** `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000` … */
  readonly endpoint: string
  /** @default 'auto' */
  readonly region?: string
  /** What this server can do, where it differs from Amazon's. */
  readonly capabilities?: Partial<Capabilities>
  /** How long one request may stand still before it is tried again. @default '10s' */
  readonly timeout?: Duration
  /** Tries of one request in all. @default 3 */
  readonly attempts?: number
}

/** Where an R2 bucket is, and who asks. */
export interface R2Options extends Omit<S3Options, 'endpoint' | 'region' | 'capabilities'> {
  readonly accountId: string
  /** Where the bucket's data must stay. @default none */
  readonly jurisdiction?: 'eu' | 'fedramp'
  /** Another endpoint with R2's rules, such as the testkit's. */
  readonly endpoint?: string
}

const GiB = 2 ** 30

const S3_CAPABILITIES: Capabilities = {
  signedUrls: true,
  conditionalPut: true,
  conditionalMultipart: true,
  conditionalCopy: true,
  verifiesSha256: true,
  grants: false,
  maxObjectBytes: 5_120 * GiB,
  maxCopyBytes: 5 * GiB,
  equalParts: false,
}

/** Cloudflare's documentation of R2's S3 API; the table in the README is this one. */
const R2_CAPABILITIES: Capabilities = {
  ...S3_CAPABILITIES,
  conditionalMultipart: false,
  grants: true,
  maxObjectBytes: 4_995 * GiB,
  equalParts: true,
}

/** A bucket of Cloudflare R2. */
export function r2(options: R2Options): BucketSource {
  const read = reader('r2')
  read.known(options, [
    'accountId',
    'jurisdiction',
    'bucket',
    'credentials',
    'endpoint',
    'timeout',
    'attempts',
  ])
  const { accountId, jurisdiction, endpoint, ...rest } = options
  read.string('accountId', read.required('accountId', accountId), '', /^[\w-]{1,64}$/)
  if (jurisdiction !== undefined) read.oneOf('jurisdiction', jurisdiction, 'eu', ['eu', 'fedramp'])
  const host = `${accountId}.${jurisdiction ? `${jurisdiction}.` : ''}r2.cloudflarestorage.com`
  return source(
    'r2',
    { ...rest, endpoint: endpoint ?? `https://${host}`, region: 'auto' },
    R2_CAPABILITIES,
    accountId,
  )
}

/** A bucket of any server that speaks S3. */
export function s3(options: S3Options): BucketSource {
  reader('s3').known(options, [
    'bucket',
    'credentials',
    'endpoint',
    'region',
    'capabilities',
    'timeout',
    'attempts',
  ])
  return source('s3', options, { ...S3_CAPABILITIES, ...options.capabilities, grants: false })
}

function source(
  name: 'r2' | 's3',
  options: S3Options,
  capabilities: Capabilities,
  accountId?: string,
): BucketSource {
  const read = reader(name)
  const endpoint = read.string(
    'endpoint',
    read.required('endpoint', options.endpoint),
    '',
    /^https?:\/\/[^?#]+$/,
  )
  if (!URL.canParse(endpoint)) read.fail('endpoint must be a URL such as https://s3.example.com')
  const credentials = read.required('credentials', options.credentials)
  const settings = {
    name,
    endpoint: endpoint.replace(/\/$/, ''),
    region: read.string('region', options.region, 'auto', /^[\w-]{1,64}$/),
    bucket: read.string(
      'bucket',
      read.required('bucket', options.bucket),
      '',
      /^[A-Za-z0-9][\w.-]{1,61}[A-Za-z0-9]$/,
    ),
    credentials: {
      accessKeyId: read.string(
        'credentials.accessKeyId',
        read.required('credentials.accessKeyId', credentials.accessKeyId),
        '',
        /^\S+$/,
      ),
      secretAccessKey: read.string(
        'credentials.secretAccessKey',
        read.required('credentials.secretAccessKey', credentials.secretAccessKey),
        '',
        /^\S+$/,
      ),
      ...(credentials.sessionToken ? { sessionToken: credentials.sessionToken } : {}),
    },
    capabilities,
    accountId,
    timeout: read.duration('timeout', options.timeout, 10_000, { min: 100, max: 600_000 }),
    attempts: read.integer('attempts', options.attempts, 3, { min: 1, max: 20 }),
  }
  return { open: () => s3Provider(settings) }
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
