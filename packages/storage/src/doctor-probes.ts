import { createHash } from 'node:crypto'
import { StorageError } from './errors.ts'
import type { Capabilities, ObjectHeaders, Provider } from './provider.ts'

/** What shows only when it is tried: a server may take a condition and ignore it. */
export type Probed = Pick<
  Capabilities,
  'conditionalPut' | 'conditionalMultipart' | 'conditionalCopy' | 'verifiesSha256'
>

/** What the doctor writes. */
export const PROBE: Buffer<ArrayBuffer> = Buffer.from('written by cays-storage doctor\n')
export const PLAIN: ObjectHeaders = { contentType: 'text/plain' }

/** Asks for what must be refused, and sees whether it is. Leaves objects under the prefix. */
export async function probeCapabilities(provider: Provider, prefix: string): Promise<Probed> {
  const taken = `${prefix}taken`
  await provider.put(taken, PROBE, PLAIN, {})
  return {
    conditionalPut: await refuses(() => provider.put(taken, PROBE, PLAIN, { ifNoneMatch: '*' })),
    conditionalMultipart: await refuses(() => overwriteInParts(provider, taken)),
    conditionalCopy: await refuses(() =>
      provider.copy(taken, `${prefix}copied`, undefined, { ifMatch: '0'.repeat(32) }),
    ),
    verifiesSha256: await verifiesSha256(provider, `${prefix}hashed`),
  }
}

/** Whether a signed URL takes more bytes than were signed. */
export async function acceptsOtherSizes(provider: Provider, key: string): Promise<boolean> {
  const put = async (size: number) => {
    const headers = { 'content-type': 'text/plain', 'content-length': String(size) }
    const url = provider.sign({ method: 'PUT', key, expires: 60, headers })
    const answer = await fetch(url, { method: 'PUT', body: PROBE, headers: { 'content-type': 'text/plain' } })
    return answer.status
  }
  const status = await put(PROBE.length)
  if (status !== 200) {
    throw new StorageError('STORAGE_ERR_DENIED', `what was signed is refused with status ${status}`)
  }
  return (await put(PROBE.length - 1)) === 200
}

async function overwriteInParts(provider: Provider, key: string): Promise<void> {
  const uploadId = await provider.startMultipart(key, PLAIN)
  try {
    const { etag } = await provider.putPart(key, uploadId, 1, PROBE)
    await provider.completeMultipart(key, uploadId, [{ partNumber: 1, etag }], { ifNoneMatch: '*' })
  } catch (error) {
    await provider.abortMultipart(key, uploadId)
    throw error
  }
}

async function verifiesSha256(provider: Provider, key: string): Promise<boolean> {
  const headers = {
    'content-type': 'text/plain',
    'x-amz-checksum-sha256': createHash('sha256').update('other bytes').digest('base64'),
  }
  const signed = { ...headers, 'content-length': String(PROBE.length) }
  const url = provider.sign({ method: 'PUT', key, expires: 60, headers: signed })
  return (await fetch(url, { method: 'PUT', body: PROBE, headers })).status !== 200
}

async function refuses(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return false
  } catch (error) {
    const code = error instanceof StorageError ? error.code : undefined
    if (code === 'STORAGE_ERR_PRECONDITION') return true
    // It does not know the condition, and says so.
    if (code === 'STORAGE_ERR_UNSUPPORTED') return false
    throw error
  }
}
