import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import { StorageUsageError } from './errors.ts'
import { PART_SIZE } from './part-plan.ts'
import type { Credentials } from './presign.ts'
import type { Capabilities, Given, Provider } from './provider.ts'
import type { S3Settings } from './s3-client.ts'
import { s3Provider } from './s3-provider.ts'

/** A bucket as it is named in `createStorage`; opens its provider when the storage is created. */
export interface BucketSource<Can extends Capabilities = Capabilities> {
  /** What its provider can do. */
  readonly capabilities: Can
  /** @internal Of a server that speaks S3, for its doctor. */
  readonly settings?: S3Settings | undefined
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
  readonly capabilities?: ServerCapabilities
  /** Where everybody can read this bucket, e.g. `https://cdn.example.com`. @default none: the bucket is private */
  readonly publicBaseUrl?: string | undefined
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

/** What may differ between servers that speak S3. */
export type ServerCapabilities = Partial<Omit<Capabilities, 'publicUrls' | 'grants'>>

const GiB = 2 ** 30

const S3_CAPABILITIES: Omit<Capabilities, 'publicUrls'> = {
  signedUrls: true,
  conditionalPut: true,
  conditionalMultipart: true,
  conditionalCopy: true,
  verifiesSha256: true,
  grants: false,
  maxObjectBytes: 5_120 * GiB,
  maxCopyBytes: 5 * GiB,
}

/** Cloudflare's documentation of R2's S3 API; the table in the README is this one. */
const R2_CAPABILITIES: Omit<Capabilities, 'publicUrls'> = {
  ...S3_CAPABILITIES,
  conditionalMultipart: false,
  grants: true,
  maxObjectBytes: 4_995 * GiB,
}

/** R2, as the compiler knows it. */
export type R2Capabilities<PublicUrls extends boolean = boolean> = Capabilities & {
  readonly signedUrls: true
  readonly publicUrls: PublicUrls
  readonly conditionalPut: true
  readonly conditionalMultipart: false
  readonly conditionalCopy: true
  readonly verifiesSha256: true
  readonly grants: true
}

/** Amazon S3, or what else `capabilities` make of it, as the compiler knows it. */
export type S3Capabilities<
  Server extends ServerCapabilities = ServerCapabilities,
  PublicUrls extends boolean = boolean,
> = Capabilities &
  Omit<
    {
      readonly signedUrls: true
      readonly conditionalPut: true
      readonly conditionalMultipart: true
      readonly conditionalCopy: true
      readonly verifiesSha256: true
    },
    keyof Server
  > &
  Required<Server> & { readonly publicUrls: PublicUrls; readonly grants: false }

/** A bucket of Cloudflare R2. */
export function r2<const Url extends string | undefined = undefined>(
  options: R2Options & { readonly publicBaseUrl?: Url },
): BucketSource<R2Capabilities<Given<Url>>> {
  const read = reader('r2')
  read.known(options, [
    'accountId',
    'jurisdiction',
    'bucket',
    'credentials',
    'endpoint',
    'publicBaseUrl',
    'timeout',
    'attempts',
  ])
  const { accountId, jurisdiction, endpoint, ...rest } = options
  read.string('accountId', read.required('accountId', accountId), '', /^[\w-]{1,64}$/)
  if (jurisdiction !== undefined) read.oneOf('jurisdiction', jurisdiction, 'eu', ['eu', 'fedramp'])
  const host = `${accountId}.${jurisdiction ? `${jurisdiction}.` : ''}r2.cloudflarestorage.com`
  const settings = { ...rest, endpoint: endpoint ?? `https://${host}`, region: 'auto' }
  return source('r2', settings, R2_CAPABILITIES, accountId) as BucketSource<R2Capabilities<Given<Url>>>
}

/** A bucket of any server that speaks S3. */
export function s3<
  const Server extends ServerCapabilities = Record<never, never>,
  const Url extends string | undefined = undefined,
>(
  options: S3Options & { readonly capabilities?: Server; readonly publicBaseUrl?: Url },
): BucketSource<S3Capabilities<Server, Given<Url>>> {
  const read = reader('s3')
  read.known(options, [
    'bucket',
    'credentials',
    'endpoint',
    'region',
    'capabilities',
    'publicBaseUrl',
    'timeout',
    'attempts',
  ])
  const capabilities = { ...S3_CAPABILITIES, ...serverCapabilities(read, options.capabilities) }
  return source('s3', options, capabilities) as BucketSource<S3Capabilities<Server, Given<Url>>>
}

function serverCapabilities(
  read: OptionReader,
  given: ServerCapabilities | undefined,
): ServerCapabilities | undefined {
  if (given === undefined) return undefined
  read.known(
    given,
    [
      'signedUrls',
      'conditionalPut',
      'conditionalMultipart',
      'conditionalCopy',
      'verifiesSha256',
      'maxObjectBytes',
      'maxCopyBytes',
    ],
    'capabilities',
  )
  const { maxObjectBytes, maxCopyBytes, ...flags } = given
  for (const [name, flag] of Object.entries(flags)) read.boolean(`capabilities.${name}`, flag, false)
  read.integer('capabilities.maxObjectBytes', maxObjectBytes, 0, { min: 1 })
  read.integer('capabilities.maxCopyBytes', maxCopyBytes, 0, { min: PART_SIZE })
  return given
}

function source(
  name: 'r2' | 's3',
  options: S3Options,
  capabilities: Omit<Capabilities, 'publicUrls'>,
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
  const settings: S3Settings = {
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
    capabilities: { ...capabilities, publicUrls: options.publicBaseUrl !== undefined },
    publicBaseUrl: options.publicBaseUrl === undefined ? undefined : baseUrl(read, options.publicBaseUrl),
    accountId,
    timeout: read.duration('timeout', options.timeout, 10_000, { min: 100, max: 600_000 }),
    attempts: read.integer('attempts', options.attempts, 3, { min: 1, max: 20 }),
  }
  return { capabilities: settings.capabilities, settings, open: () => s3Provider(settings) }
}

/** The address without a slash at its end. */
function baseUrl(read: OptionReader, address: string): string {
  const given = read.string('publicBaseUrl', address, '', /^https?:\/\/[^?#\s]+$/)
  if (!URL.canParse(given)) read.fail('publicBaseUrl must be a URL such as https://cdn.example.com')
  return given.replace(/\/+$/, '')
}

function reader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new StorageUsageError('STORAGE_ERR_OPTION', message))
}
