import { randomBytes } from 'node:crypto'
import { OptionReader } from '@cays/core/options'
import { TestkitError } from './errors.ts'
import { corsMistake, type R2CorsRule } from './r2-cors.ts'
import type { R2Fault } from './r2-faults.ts'
import { isPermission, type R2Permission } from './r2-identity.ts'

/** One API token of the account. */
export interface R2Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** @default 'admin-read-write' */
  readonly permission?: R2Permission | undefined
}

/** What `startR2` takes. */
export interface R2Options {
  /** Buckets to make unless they exist. @default ['bucket'] */
  readonly buckets?: readonly string[] | undefined
  /** The account's API tokens; the first is the one the server shows. @default one, random */
  readonly credentials?: R2Credentials | readonly R2Credentials[] | undefined
  /** The account that temporary credentials must name. @default random */
  readonly accountId?: string | undefined
  /** Folder for the data, which stays after `close()`. @default a temporary one, removed by `close()` */
  readonly dir?: string | undefined
  /** Port on 127.0.0.1. @default a free one */
  readonly port?: number | undefined
  /** CORS policy of the buckets that are made. @default none: browsers of other origins are refused */
  readonly cors?: readonly R2CorsRule[] | undefined
  /** Faults in force from the start. @default none */
  readonly faults?: readonly R2Fault[] | undefined
  /** Seed for faults with a probability. @default random */
  readonly seed?: number | undefined
  /** Whether to refuse a second write to a key within one second, as R2 does. @default false */
  readonly limitWrites?: boolean | undefined
}

/** Options with their defaults filled in. */
export interface R2Settings {
  readonly buckets: readonly string[]
  readonly credentials: readonly [R2Credentials, ...R2Credentials[]]
  readonly accountId: string
  readonly port: number | undefined
  readonly cors: readonly R2CorsRule[] | undefined
  readonly faults: readonly R2Fault[]
  readonly seed: number
  readonly limitWrites: boolean
}

const OPTIONS = [
  'buckets',
  'credentials',
  'accountId',
  'dir',
  'port',
  'cors',
  'faults',
  'seed',
  'limitWrites',
] as const

/** Checks options. @throws TestkitError TESTKIT_ERR_OPTIONS */
export function readR2Options(options: R2Options): R2Settings {
  const reader = optionReader('startR2')
  reader.known(options, OPTIONS)
  const buckets = options.buckets ?? ['bucket']
  for (const name of buckets)
    if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name))
      reader.fail('a bucket name has 3 to 63 characters: lower case letters, digits and inner hyphens')
  const credentials = readCredentials(reader, options.credentials)
  const mistake = options.cors === undefined ? undefined : corsMistake(options.cors)
  if (mistake !== undefined) reader.fail(mistake)
  const { cors } = options
  return {
    buckets,
    credentials,
    accountId: reader.string(
      'accountId',
      options.accountId,
      randomBytes(16).toString('hex'),
      /^[\w-]{1,64}$/,
    ),
    port:
      options.port === undefined
        ? undefined
        : reader.integer('port', options.port, 0, { min: 1, max: 65_535 }),
    cors,
    faults: options.faults ?? [],
    seed: reader.integer('seed', options.seed, randomBytes(4).readUInt32BE()),
    limitWrites: reader.boolean('limitWrites', options.limitWrites, false),
  }
}

function readCredentials(
  reader: OptionReader,
  given: R2Options['credentials'],
): readonly [R2Credentials, ...R2Credentials[]] {
  const [first, ...more] =
    given === undefined
      ? [{ accessKeyId: randomBytes(16).toString('hex'), secretAccessKey: randomBytes(32).toString('hex') }]
      : [given].flat()
  if (first === undefined) return reader.fail('credentials must not be empty')
  for (const entry of [first, ...more]) {
    // Other fields are let through: the AWS SDK adds some to the very object it is given.
    if (typeof entry !== 'object' || entry === null) reader.fail('credentials must be objects')
    reader.string(
      'credentials.accessKeyId',
      reader.required('credentials.accessKeyId', entry.accessKeyId),
      '',
      /^[\w-]{1,128}$/,
    )
    reader.string(
      'credentials.secretAccessKey',
      reader.required('credentials.secretAccessKey', entry.secretAccessKey),
      '',
      /^.{1,256}$/,
    )
    if (entry.permission !== undefined && !isPermission(entry.permission))
      reader.fail('credentials.permission must be one of the four permissions of R2')
  }
  return [first, ...more]
}

/** Reads arguments in this package's way. */
export function optionReader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new TestkitError('TESTKIT_ERR_OPTIONS', message))
}
