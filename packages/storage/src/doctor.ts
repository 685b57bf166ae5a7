import { randomUUID } from 'node:crypto'
import { examineCors } from './doctor-cors.ts'
import { adviceFor, type Finding, guarded, wordsOf } from './doctor-finding.ts'
import { examineLifecycle, examineUploads } from './doctor-leftovers.ts'
import { acceptsOtherSizes, PLAIN, PROBE, probeCapabilities } from './doctor-probes.ts'
import { examineReaders } from './doctor-readers.ts'
import type { Provider } from './provider.ts'
import type { S3Settings } from './s3-client.ts'
import { s3Provider } from './s3-provider.ts'

const MINUTE = 60_000
/** Beyond this S3 refuses every request that does not make up for it. */
const MOST_SKEW = 15 * MINUTE
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

async function removed(provider: Provider, key: string): Promise<void> {
  for (const error of (await provider.deleteMany([key])).values()) throw error
}

async function cleanUp(provider: Provider, prefix: string): Promise<void> {
  const { objects } = await provider.list({ prefix, limit: 1_000 })
  if (objects.length > 0) await provider.deleteMany(objects.map(({ key }) => key))
  for await (const { key, uploadId } of provider.openUploads(prefix))
    await provider.abortMultipart(key, uploadId)
}
