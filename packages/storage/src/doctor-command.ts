import { parseArgs } from 'node:util'
import { type BucketSource, r2, s3 } from './buckets.ts'
import { examine } from './doctor.ts'
import type { Finding } from './doctor-finding.ts'
import { StorageError } from './errors.ts'
import { redactUrl } from './redact-url.ts'

const USAGE = `usage: cays-storage doctor --bucket NAME --r2 ACCOUNT [--jurisdiction eu|fedramp] [more]
       cays-storage doctor --bucket NAME --endpoint URL [--region NAME] [more]

Looks at a bucket the way an app will use it, with small objects under cays-doctor/ that are removed again.
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN alone.

  --origin URL       pages of this origin will send files to the bucket; may be repeated
  --public-url URL   everybody shall be able to read the bucket there; without it nobody shall

Ends with 0 when nothing failed, with 1 when something did, with 2 when it was called wrongly.`

const OPTIONS = {
  bucket: { type: 'string' },
  r2: { type: 'string' },
  jurisdiction: { type: 'string' },
  endpoint: { type: 'string' },
  region: { type: 'string' },
  origin: { type: 'string', multiple: true },
  'public-url': { type: 'string' },
  help: { type: 'boolean' },
} as const

const LABELS: Readonly<Record<Finding['outcome'], string>> = {
  ok: 'ok',
  warning: 'warning',
  failure: 'FAILED',
  unknown: 'unknown',
}

/** The command `cays-storage doctor`; answers its exit code. Prints no credentials. */
export async function runDoctor(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  print: (line: string) => unknown,
): Promise<number> {
  let source: BucketSource
  let origins: readonly string[]
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    if (values.help) {
      print(USAGE)
      return 2
    }
    origins = (values.origin ?? []).map((origin) => new URL(origin).origin)
    source = sourceOf(values, env)
  } catch (error) {
    // What `parseArgs`, `URL` and our options say of a mistake names options, and no values of them.
    print(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
    return 2
  }
  if (!source.settings) return 2
  let failed = false
  for await (const { check, outcome, detail, advice } of examine(source.settings, origins)) {
    failed ||= outcome === 'failure'
    print(redactUrl(`${LABELS[outcome].padEnd(8)} ${check.padEnd(13)} ${detail}`))
    if (advice) print(redactUrl(`${' '.repeat(23)}${advice}`))
  }
  print(failed ? '\nSomething failed.' : '\nNothing failed.')
  return failed ? 1 : 0
}

interface Values {
  readonly bucket?: string
  readonly r2?: string
  readonly jurisdiction?: string
  readonly endpoint?: string
  readonly region?: string
  readonly 'public-url'?: string
}

function sourceOf(values: Values, env: Readonly<Record<string, string | undefined>>): BucketSource {
  const { bucket, r2: accountId, jurisdiction, endpoint, region } = values
  if (bucket === undefined) throw new Error('--bucket is missing')
  if ((accountId ?? endpoint) === undefined) throw new Error('--r2 or --endpoint is missing')
  const accessKeyId = env.AWS_ACCESS_KEY_ID
  const secretAccessKey = env.AWS_SECRET_ACCESS_KEY
  const sessionToken = env.AWS_SESSION_TOKEN
  const publicBaseUrl = values['public-url']
  if (!accessKeyId || !secretAccessKey) {
    throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set')
  }
  const common = {
    bucket,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
    ...(publicBaseUrl === undefined ? {} : { publicBaseUrl }),
    attempts: 2,
  }
  if (accountId === undefined) {
    return s3({ ...common, endpoint: endpoint ?? '', ...(region === undefined ? {} : { region }) })
  }
  if (jurisdiction !== undefined && jurisdiction !== 'eu' && jurisdiction !== 'fedramp') {
    throw new StorageError('STORAGE_ERR_OPTION', '--jurisdiction must be eu or fedramp')
  }
  return r2({
    ...common,
    accountId,
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    ...(endpoint === undefined ? {} : { endpoint }),
  })
}
