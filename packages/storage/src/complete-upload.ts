import { createHash } from 'node:crypto'
import { attachment } from './content-disposition.ts'
import { copyObject } from './copy-object.ts'
import type { UploadDefinition } from './define-upload.ts'
import { StorageError } from './errors.ts'
import { proveContent } from './prove-content.ts'
import type { ObjectHead, Provider } from './provider.ts'
import { headOrNothing, quarantineKey } from './quarantine.ts'
import type { TicketClaims } from './ticket.ts'
import { type CompleteRequest, type CompleteResult, refused } from './upload-types.ts'

/** Proves what arrived and promotes it; see `Uploads.complete`. */
export async function completeUpload(
  provider: Provider,
  definition: UploadDefinition,
  claims: TicketClaims,
  { signal, reread = false }: CompleteRequest,
): Promise<CompleteResult> {
  const finalKey = `${definition.prefix}/${claims.id}`
  const pinned = claims.multipart ? claims.multipart.hashed : claims.sha256 !== undefined
  const bySha256 = pinned && provider.capabilities.verifiesSha256
  const done = (
    head: Pick<ObjectHead, 'etag' | 'size'>,
    verified: boolean,
    replayed: boolean,
  ): CompleteResult => ({
    ok: true,
    object: { key: finalKey, size: head.size, etag: head.etag, type: claims.type, name: claims.name },
    checksum: verified ? 'verified' : 'unverified',
    replayed,
  })

  const earlier = await headOrNothing(provider, finalKey, signal)
  if (earlier) return done(earlier, earlier.metadata.checksum === 'verified', true)

  const key = quarantineKey(claims)
  if (claims.multipart) {
    const assembled = await assemble(provider, key, claims, claims.multipart, signal)
    if (assembled) return assembled
  }
  const head = await headOrNothing(provider, key, signal)
  if (!head) return refused('missing', 'The file has not arrived.')
  if (head.size !== claims.size)
    return refused('size', 'The file does not have the size it was announced with.')
  if (head.contentType !== claims.type) return refused('type', 'The file was sent as another type.')

  const { etag } = head
  const finding = await proveContent(
    {
      type: claims.type,
      size: claims.size,
      read: async (start, end) =>
        await collect((await provider.get(key, { range: { start, end }, ifMatch: etag }, signal)).body),
      readAll: () => readAll(provider, key, etag, signal),
    },
    definition.image,
  )
  if (finding) return { ok: false, ...finding }
  let verified = bySha256 || claims.md5 !== undefined
  if (claims.sha256 && !bySha256 && reread) {
    if ((await sha256Of(provider, key, etag, claims, signal)) !== claims.sha256) {
      return refused('checksum', 'The file was damaged on its way.')
    }
    verified = true
  }
  if (definition.inspect) {
    const verdict = await definition.inspect({
      size: claims.size,
      type: claims.type,
      name: claims.name,
      read: () => readAll(provider, key, etag, signal),
      signal,
    })
    if (!verdict.ok) return { ok: false, reason: 'inspection', detail: verdict.reason }
  }
  const copied = await copyObject(
    provider,
    key,
    finalKey,
    {
      contentType: claims.type,
      contentDisposition: attachment(claims.name),
      cacheControl: 'private, no-store',
      metadata: { checksum: verified ? 'verified' : 'unverified' },
    },
    { ifMatch: etag, size: claims.size },
    signal,
  )
  return done({ etag: copied.etag, size: claims.size }, verified, false)
}

/** Puts the parts together, by the provider's own list of them: what a browser says of ETags is not needed. */
async function assemble(
  provider: Provider,
  key: string,
  claims: TicketClaims,
  multipart: NonNullable<TicketClaims['multipart']>,
  signal: AbortSignal | undefined,
): Promise<CompleteResult | undefined> {
  try {
    const parts = await provider.listParts(key, multipart.uploadId, signal)
    const total = parts.reduce((sum, part) => sum + part.size, 0)
    if (total < claims.size) return refused('missing', 'Parts of the file have not arrived.')
    if (total > claims.size) return refused('size', 'The file does not have the size it was announced with.')
    await provider.completeMultipart(key, multipart.uploadId, parts, {}, signal)
    return undefined
  } catch (error) {
    // Another call, or an earlier one whose answer was lost, has put it together: the object will tell.
    if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return undefined
    throw error
  }
}

async function* readAll(provider: Provider, key: string, etag: string, signal: AbortSignal | undefined) {
  yield* (await provider.get(key, { ifMatch: etag }, signal)).body
}

async function sha256Of(
  provider: Provider,
  key: string,
  etag: string,
  { multipart }: TicketClaims,
  signal: AbortSignal | undefined,
): Promise<string> {
  const whole = createHash('sha256')
  if (!multipart?.hashed) {
    for await (const chunk of readAll(provider, key, etag, signal)) whole.update(chunk)
    return whole.digest('base64')
  }
  let part = createHash('sha256')
  let room = multipart.partSize
  for await (const chunk of readAll(provider, key, etag, signal)) {
    let rest = chunk
    for (; rest.length >= room; room = multipart.partSize) {
      whole.update(part.update(rest.subarray(0, room)).digest())
      part = createHash('sha256')
      rest = rest.subarray(room)
    }
    part.update(rest)
    room -= rest.length
  }
  if (room < multipart.partSize) whole.update(part.digest())
  return whole.digest('base64')
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}
