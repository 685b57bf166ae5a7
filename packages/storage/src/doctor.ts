import { randomUUID } from 'node:crypto'
import { GetBucketLifecycleConfigurationCommand, type LifecycleRule, S3Client } from '@aws-sdk/client-s3'
import { acceptsOtherSizes, probeCapabilities } from './doctor-probes.ts'
import { StorageError } from './errors.ts'
import { type Credentials, encodePath } from './presign.ts'
import type { Provider } from './provider.ts'
import { fromS3 } from './s3-error.ts'
import { type S3Settings, s3Provider } from './s3-provider.ts'

/** What one check has found, in words without secrets. */
export interface Finding {
  readonly check: string
  readonly outcome: 'ok' | 'warning' | 'failure' | 'unknown'
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string | undefined
}

const UPLOAD_HEADERS = ['content-type', 'if-none-match', 'x-amz-checksum-sha256']
const DAY = 86_400_000
const MINUTE = 60_000
/** Beyond this S3 refuses every request that does not make up for it. */
const MOST_SKEW = 15 * MINUTE
const MOST_COUNTED = 1_000

/**
 * Looks at a bucket the way the app will use it: with real requests, on small objects under `cays-doctor/` that are
 * removed again. What cannot work without what failed is not tried.
 */
export async function* examine(patient: S3Settings, origins: readonly string[]): AsyncGenerator<Finding> {
  // Asks for everything, to see what is ignored.
  const asked = { conditionalMultipart: true, conditionalCopy: true, verifiesSha256: true }
  const provider = s3Provider({
    ...patient,
    capabilities: { ...patient.capabilities, ...asked },
  })
  const prefix = `cays-doctor/${randomUUID()}/`
  try {
    const endpoint = await examineEndpoint(patient)
    yield* endpoint
    if (endpoint[0]?.outcome === 'failure') return
    const credentials = await examineCredentials(provider, prefix)
    yield credentials
    if (credentials.outcome === 'failure') return
    yield await guarded('signatures', () => examineSignatures(provider, prefix))
    yield await guarded('capabilities', () => examineCapabilities(provider, patient, prefix))
    yield await guarded('readers', () => examineReaders(provider, patient, prefix))
    for (const origin of origins) {
      yield await guarded('cors', () => examineCors(provider, origin, prefix))
    }
    yield await guarded('lifecycle', () => examineLifecycle(patient))
    yield await guarded('left behind', () => examineUploads(provider))
  } finally {
    await cleanUp(provider, prefix).catch(() => {})
    await provider.close()
  }
}

async function examineEndpoint({ endpoint }: S3Settings): Promise<readonly Finding[]> {
  const asked = Date.now()
  let answer: Response
  try {
    answer = await fetch(endpoint, { method: 'HEAD', signal: AbortSignal.timeout(10_000) })
  } catch (error) {
    const { cause } = error as { readonly cause?: { readonly code?: unknown } }
    const detail = `nothing answers there (${cause?.code ?? 'no answer within 10 s'})`
    return [{ check: 'endpoint', outcome: 'failure', detail, advice: 'Check the address and the way to it.' }]
  }
  const reached: Finding = { check: 'endpoint', outcome: 'ok', detail: 'answers' }
  const date = Date.parse(answer.headers.get('date') ?? '')
  if (Number.isNaN(date)) {
    return [reached, { check: 'clock', outcome: 'unknown', detail: 'the endpoint does not tell its time' }]
  }
  // The header has whole seconds.
  const skew = date + 500 - (asked + Date.now()) / 2
  const size = Math.abs(skew)
  if (size <= MINUTE) {
    return [reached, { check: 'clock', outcome: 'ok', detail: 'this machine and the provider agree' }]
  }
  const detail = `this machine is ${Math.round(size / 1_000)} s ${skew > 0 ? 'behind' : 'ahead'}`
  const outcome = size > MOST_SKEW ? 'failure' : 'warning'
  const advice =
    'Let the machine set its clock (NTP): URLs signed before the first request are off by as much.'
  return [reached, { check: 'clock', outcome, detail, advice }]
}

async function examineCredentials(provider: Provider, prefix: string): Promise<Finding> {
  const key = `${prefix}probe`
  const steps: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['list', () => provider.list({ prefix, limit: 1 })],
    ['write', () => provider.put(key, PROBE, PLAIN, {})],
    ['read', () => provider.head(key)],
    ['delete', () => removed(provider, key)],
  ]
  for (const [verb, work] of steps) {
    try {
      await work()
    } catch (error) {
      return {
        check: 'credentials',
        outcome: 'failure',
        detail: `cannot ${verb}: ${wordsOf(error)}`,
        advice: adviceFor(error),
      }
    }
  }
  return { check: 'credentials', outcome: 'ok', detail: 'list, write, read and delete' }
}

async function examineSignatures(provider: Provider, prefix: string): Promise<Finding> {
  const accepted = await acceptsOtherSizes(provider, `${prefix}sized`)
  return accepted
    ? {
        check: 'signatures',
        outcome: 'failure',
        detail: 'a signed URL takes more bytes than were signed',
        advice: 'Do not let browsers upload to this provider: nothing holds them to a size.',
      }
    : { check: 'signatures', outcome: 'ok', detail: 'a signed URL takes what was signed and nothing else' }
}

async function examineCapabilities(
  provider: Provider,
  { name, capabilities }: S3Settings,
  prefix: string,
): Promise<Finding> {
  const found = Object.entries(await probeCapabilities(provider, prefix))
  const taken: Readonly<Record<string, unknown>> = { ...capabilities }
  const wrong = found.filter(([capability, has]) => taken[capability] === true && !has)
  const check = 'capabilities'
  if (wrong.length === 0) return { check, outcome: 'ok', detail: `all that ${name}() takes it for` }
  const lacks = wrong.map(([capability]) => capability)
  const set = lacks.map((capability) => `${capability}: false`).join(', ')
  return {
    check,
    outcome: name === 's3' ? 'warning' : 'failure',
    detail: `accepts and ignores: ${lacks.join(', ')}`,
    advice: name === 's3' ? `Say so: s3({ capabilities: { ${set} } }).` : 'This is not R2 as documented.',
  }
}

async function examineReaders(
  provider: Provider,
  { endpoint, bucket, publicBaseUrl }: S3Settings,
  prefix: string,
): Promise<Finding> {
  const check = 'readers'
  const key = `${prefix}read by strangers`
  await provider.put(key, PROBE, PLAIN, {})
  if (publicBaseUrl === undefined) {
    const { status } = await fetch(`${endpoint}/${bucket}/${encodePath(key)}`)
    return status === 200
      ? {
          check,
          outcome: 'failure',
          detail: 'everybody can read this bucket',
          advice: 'Take its policy or ACL away, or say that it is meant so: --public-url.',
        }
      : { check, outcome: 'ok', detail: 'strangers are refused' }
  }
  const answer = await fetch(`${publicBaseUrl}/${encodePath(key)}`)
  const body = Buffer.from(await answer.arrayBuffer())
  if (answer.status !== 200 || !body.equals(PROBE)) {
    return {
      check,
      outcome: 'failure',
      detail: `the public address does not give the object (status ${answer.status})`,
      advice: 'Connect the custom domain to this bucket.',
    }
  }
  if (/\.r2\.dev$/.test(new URL(publicBaseUrl).hostname)) {
    return {
      check,
      outcome: 'warning',
      detail: 'the public address is one of r2.dev: slowed down on purpose, and not cached',
      advice: 'Connect a custom domain, and switch the r2.dev address off.',
    }
  }
  if (answer.headers.get('x-content-type-options') !== 'nosniff') {
    return {
      check,
      outcome: 'warning',
      detail: 'the public address lets browsers guess types',
      advice: 'Add "X-Content-Type-Options: nosniff" to the answers of the domain.',
    }
  }
  return { check, outcome: 'ok', detail: 'everybody can read, as asked for' }
}

async function examineCors(provider: Provider, origin: string, prefix: string): Promise<Finding> {
  const url = provider.sign({ method: 'PUT', key: `${prefix}cors`, expires: 60 })
  const answer = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': UPLOAD_HEADERS.join(','),
    },
  })
  const listOf = (name: string) =>
    (answer.headers.get(name) ?? '').split(',').map((one) => one.trim().toLowerCase())
  const allows = (name: string, wanted: readonly string[]) => {
    const listed = listOf(name)
    return wanted.every((one) => listed.includes('*') || listed.includes(one.toLowerCase()))
  }
  const allowed =
    answer.ok &&
    allows('access-control-allow-origin', [origin]) &&
    allows('access-control-allow-methods', ['PUT']) &&
    allows('access-control-allow-headers', UPLOAD_HEADERS)
  if (allowed) return { check: 'cors', outcome: 'ok', detail: `pages of ${origin} may upload` }
  const rule = {
    AllowedOrigins: [origin],
    AllowedMethods: ['GET', 'PUT'],
    AllowedHeaders: UPLOAD_HEADERS,
    ExposeHeaders: ['ETag'],
    MaxAgeSeconds: 3_600,
  }
  return {
    check: 'cors',
    outcome: 'failure',
    detail: `pages of ${origin} may not upload`,
    advice: `Add to the bucket's CORS policy: ${JSON.stringify([rule])}`,
  }
}

async function examineLifecycle(patient: S3Settings): Promise<Finding> {
  const check = 'lifecycle'
  const advice =
    'Add a rule that ends incomplete multipart uploads after 7 days; storage.sweep() does it earlier.'
  try {
    const rules = await lifecycleOf(patient)
    const days = rules
      .filter(({ Status, Filter, Prefix }) => Status === 'Enabled' && !(Filter?.Prefix ?? Prefix))
      .flatMap(({ AbortIncompleteMultipartUpload: abort }) => abort?.DaysAfterInitiation ?? [])
    if (days.length > 0) {
      return { check, outcome: 'ok', detail: `abandoned uploads end after ${Math.min(...days)} days` }
    }
    return { check, outcome: 'warning', detail: 'abandoned uploads never end by themselves', advice }
  } catch (error) {
    if (causeOf(error) === 'NoSuchLifecycleConfiguration') {
      return { check, outcome: 'warning', detail: 'abandoned uploads never end by themselves', advice }
    }
    return { check, outcome: 'unknown', detail: `these credentials cannot see the rules: ${wordsOf(error)}` }
  }
}

async function lifecycleOf({
  endpoint,
  region,
  bucket,
  credentials,
}: S3Settings): Promise<readonly LifecycleRule[]> {
  const client = new S3Client({
    endpoint,
    region,
    credentials: { ...credentials } as Credentials & { sessionToken: string },
    forcePathStyle: true,
  })
  try {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket })
    return (await client.send(command)).Rules ?? []
  } catch (error) {
    throw fromS3(error)
  } finally {
    client.destroy()
  }
}

async function examineUploads(provider: Provider): Promise<Finding> {
  const before = Date.now() - DAY
  let old = 0
  for await (const { startedAt } of provider.openUploads('')) {
    if (startedAt.getTime() < before && ++old === MOST_COUNTED) break
  }
  const check = 'left behind'
  if (old === 0) return { check, outcome: 'ok', detail: 'no upload was begun more than a day ago' }
  return {
    check,
    outcome: 'warning',
    detail: `${old}${old === MOST_COUNTED ? ' or more' : ''} uploads were begun more than a day ago`,
    advice: 'Run storage.sweep() about once an hour.',
  }
}

/** A check that breaks off is a finding too. */
async function guarded(check: string, work: () => Promise<Finding>): Promise<Finding> {
  try {
    return await work()
  } catch (error) {
    return { check, outcome: 'failure', detail: wordsOf(error), advice: adviceFor(error) }
  }
}

async function removed(provider: Provider, key: string): Promise<void> {
  for (const error of (await provider.deleteMany([key])).values()) throw error
}

async function cleanUp(provider: Provider, prefix: string): Promise<void> {
  const { objects } = await provider.list({ prefix, limit: 1_000 })
  if (objects.length > 0) await provider.deleteMany(objects.map(({ key }) => key))
  for await (const { key, uploadId } of provider.openUploads(prefix))
    await provider.abortMultipart(key, uploadId)
}

/** The provider's own name for what went wrong. */
function causeOf(error: unknown): string | undefined {
  const { cause } = error as { readonly cause?: { readonly name?: unknown; readonly Code?: unknown } }
  const name = cause?.Code ?? cause?.name
  return typeof name === 'string' ? name : undefined
}

function wordsOf(error: unknown): string {
  const name = causeOf(error)
  const text = error instanceof StorageError ? error.message : 'the check broke off'
  return name ? `${text} (${name})` : text
}

const ADVICE: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: 'The key id is not known here.',
  SignatureDoesNotMatch: 'The secret does not belong to the key id.',
  Unauthorized: 'The key id is not known here, or may not do this.',
  AccessDenied: 'Give the token "Object Read & Write" on this bucket.',
  NoSuchBucket: 'There is no bucket of that name here.',
}

function adviceFor(error: unknown): string | undefined {
  return ADVICE[causeOf(error) ?? '']
}

const PROBE = Buffer.from('written by cays-storage doctor\n')
const PLAIN = { contentType: 'text/plain' }
