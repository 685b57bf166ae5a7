import { createHash } from 'node:crypto'
import { StorageError } from './errors.ts'
import { encodePath } from './presign.ts'
import type { Conditions, ObjectHead, ObjectHeaders } from './provider.ts'
import { fromS3 } from './s3-error.ts'

/** Metadata of ours, which says which `put` wrote the object. */
const WRITE_ID = 'cays-write-id'

/** The provider checks it before the object exists; every S3 we know does, unlike newer checksums. */
export function md5(body: Uint8Array): string {
  return createHash('md5').update(body).digest('base64')
}

export function headersInput(headers: ObjectHeaders) {
  const { contentType, contentDisposition, cacheControl, metadata, writeId } = headers
  return {
    ContentType: contentType,
    ...(contentDisposition ? { ContentDisposition: contentDisposition } : {}),
    ...(cacheControl ? { CacheControl: cacheControl } : {}),
    ...(metadata || writeId ? { Metadata: { ...metadata, ...(writeId && { [WRITE_ID]: writeId }) } } : {}),
  }
}

export function copySource(bucket: string, key: string): string {
  return `${bucket}/${encodePath(key)}`
}

export function conditionsInput({ ifMatch, ifNoneMatch }: Conditions) {
  return { ...(ifMatch ? { IfMatch: ifMatch } : {}), ...(ifNoneMatch ? { IfNoneMatch: ifNoneMatch } : {}) }
}

interface HeadAnswer {
  readonly ContentLength?: number | undefined
  readonly ContentRange?: string | undefined
  readonly ETag?: string | undefined
  readonly LastModified?: Date | undefined
  readonly ContentType?: string | undefined
  readonly ContentDisposition?: string | undefined
  readonly CacheControl?: string | undefined
  readonly Metadata?: Record<string, string> | undefined
}

export function headOf(key: string, answer: HeadAnswer): ObjectHead {
  // Of a range the answer's length is the range's; the object's stands behind the slash.
  const whole = answer.ContentRange?.split('/')[1]
  const { [WRITE_ID]: writeId, ...metadata } = answer.Metadata ?? {}
  return {
    key,
    size: whole && whole !== '*' ? Number(whole) : (answer.ContentLength ?? 0),
    etag: etagOf(answer.ETag),
    lastModified: answer.LastModified ?? new Date(0),
    contentType: answer.ContentType ?? 'application/octet-stream',
    contentDisposition: answer.ContentDisposition,
    cacheControl: answer.CacheControl,
    metadata,
    writeId,
  }
}

/** The bytes as they arrive, and an error when they are not exactly as many as were announced. */
export async function* readable(
  body: AsyncIterable<Uint8Array>,
  length: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let arrived = 0
  try {
    for await (const chunk of body) {
      arrived += chunk.length
      yield chunk
    }
  } catch (thrown) {
    throw fromS3(thrown, signal)
  }
  if (arrived !== length) {
    throw new StorageError('STORAGE_ERR_UNAVAILABLE', 'the provider ended the object early; read it again')
  }
}

export function etagOf(etag: string | undefined): string {
  return (etag ?? '').replace(/^"|"$/g, '')
}

/** The MD5 of the parts' MD5s, as S3 and all that follow it have it. */
export function etagOfParts(parts: readonly { readonly etag: string }[]): string {
  const digest = createHash('md5')
  for (const { etag } of parts) digest.update(etag, 'hex')
  return `${digest.digest('hex')}-${parts.length}`
}

export function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new StorageError(
      'STORAGE_ERR_UNAVAILABLE',
      'the provider left out a part of its answer; try again later',
    )
  }
  return value
}
