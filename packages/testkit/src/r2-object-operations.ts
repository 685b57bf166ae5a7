import { createHash } from 'node:crypto'
import type { R2Bucket } from './r2-bucket.ts'
import { type ChecksumAlgorithm, checksumAlgorithm, startChecksum } from './r2-checksum.ts'
import { type Conditions, judge, readConditions, requireMet } from './r2-conditions.ts'
import { authorize, reaches } from './r2-identity.ts'
import { checksumHeaders, objectHeaders, quoted, readMetadata } from './r2-metadata.ts'
import { type ByteRange, parseRange } from './r2-range.ts'
import type { ObjectMetadata, StoredObject } from './r2-records.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import { checkedKey, parseCopySource } from './r2-uri.ts'
import { element, s3Document } from './r2-xml.ts'
import { childrenOf, childText, parseXml } from './r2-xml-parser.ts'

/** Largest XML body: a CompleteMultipartUpload of 10,000 parts with checksums needs about half of it. */
export const MAX_XML_BYTES: number = 4 * 1024 * 1024

export async function putObject(request: R2Request): Promise<R2Reply> {
  const { headers, store, target, now } = request
  const body = request.body()
  const metadata = readMetadata(headers)
  const conditions = readConditions((name) => headers.get(name))
  const bucket = uploadBucket(request)
  // Refused here already when it cannot succeed, so that the body need not be read; judged again at the commit.
  requireMet(conditions, bucket.find(target.key))
  const [blob, received] = await store.disk.write((append) => body.receive(append))
  const object: StoredObject = {
    key: target.key,
    size: received.size,
    etag: received.md5,
    lastModified: now,
    blobs: [blob],
    metadata,
    checksum: received.checksum,
    parts: undefined,
  }
  await bucket.commit(object, (current) => requireMet(conditions, current))
  return { status: 200, headers: { etag: quoted(object.etag), ...checksumHeaders(object.checksum) } }
}

export function getObject(request: R2Request): R2Reply {
  const { headers, store, target } = request
  const object = store.bucket(target.bucket).get(target.key)
  const verdict = judge(
    readConditions((name) => headers.get(name)),
    object,
  )
  if (verdict === 'failed') throw new S3Error('PreconditionFailed')
  const range = selectRange(request, object)
  const withChecksum = headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED' && range === undefined
  const shown = objectHeaders(object, target.query, withChecksum)
  if (verdict === 'unchanged') {
    const { 'content-type': _, ...kept } = shown
    return { status: 304, headers: kept }
  }
  const { start, end } = range ?? { start: 0, end: object.size - 1 }
  const answer = {
    ...shown,
    'content-length': String(end - start + 1),
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${object.size}` }),
    ...(target.query.has('partNumber') ? { 'x-amz-mp-parts-count': String(object.parts ?? 1) } : {}),
  }
  const status = range === undefined ? 200 : 206
  if (request.operation === 'HeadObject') return { status, headers: answer }
  return { status, headers: answer, content: store.disk.read(object.blobs, start, end) }
}

export function deleteObject({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket).delete(target.key)
  return { status: 204 }
}

export async function deleteObjects(request: R2Request): Promise<R2Reply> {
  const { identity, store, target } = request
  const root = parseXml(await request.body().text(MAX_XML_BYTES))
  const bucket = store.bucket(target.bucket)
  const entries = childrenOf(root, 'Object')
  if (root.name !== 'Delete' || entries.length === 0 || entries.length > 1000)
    throw new S3Error('MalformedXML')
  const quiet = childText(root, 'Quiet') === 'true'
  let outcome = ''
  for (const entry of entries) {
    const key = childText(entry, 'Key') ?? ''
    try {
      if (key === '') throw new S3Error('InvalidObjectName')
      if (childText(entry, 'VersionId') !== undefined) throw new S3Error('NotImplemented')
      if (!reaches(identity, checkedKey(key))) throw new S3Error('AccessDenied')
      bucket.delete(key)
      if (!quiet) outcome += element('Deleted', element('Key', key), 'raw')
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      const why = element('Key', key) + element('Code', error.code) + element('Message', error.message)
      outcome += element('Error', why, 'raw')
    }
  }
  return { status: 200, xml: s3Document('DeleteResult', outcome) }
}

export async function copyObject(request: R2Request): Promise<R2Reply> {
  const { headers, store, target, now } = request
  const source = copySource(request)
  const directive = (headers.get('x-amz-metadata-directive') ?? 'COPY').toUpperCase()
  if (!['COPY', 'REPLACE', 'MERGE'].includes(directive))
    throw new S3Error('InvalidArgument', 'The metadata directive must be COPY, REPLACE or MERGE.')
  const metadata = mergeMetadata(
    directive,
    source.object.metadata,
    readMetadata(headers),
    headers.get('x-amz-storage-class'),
  )
  const bucket = store.bucket(target.bucket)
  const sameObject = bucket.find(target.key) === source.object
  if (sameObject && directive === 'COPY' && headers.get('x-amz-storage-class') === undefined)
    throw new S3Error(
      'InvalidRequest',
      'Copying an object onto itself must change its metadata or storage class.',
    )
  const conditions: Conditions = readConditions((name) => headers.get(name), 'cf-copy-destination-')
  requireMet(conditions, bucket.find(target.key))
  const algorithm = checksumAlgorithm(headers.get('x-amz-checksum-algorithm') ?? '')
  const copy = await copyBytes(
    request,
    source.object,
    undefined,
    algorithm ?? source.object.checksum?.algorithm,
  )
  const object: StoredObject = {
    key: target.key,
    size: copy.blob.size,
    etag: copy.md5,
    lastModified: now,
    blobs: [copy.blob],
    metadata,
    checksum: copy.checksum,
    parts: undefined,
  }
  await bucket.commit(object, (current) => requireMet(conditions, current))
  return { status: 200, xml: s3Document('CopyObjectResult', copyResult(object)) }
}

/** The object named by `x-amz-copy-source`, if the identity may read it and its conditions hold. */
export function copySource(request: R2Request): { readonly object: StoredObject } {
  const { headers, identity, store } = request
  const { bucket, key } = parseCopySource(headers.get('x-amz-copy-source') ?? '')
  authorize(identity, request.operation, bucket, key)
  const object = store.bucket(bucket).get(key)
  requireMet(
    readConditions((name) => headers.get(name), 'x-amz-copy-source-'),
    object,
  )
  return { object }
}

/** Copies content into a fresh blob and hashes it on the way. */
export async function copyBytes(
  { store }: R2Request,
  object: StoredObject,
  range: ByteRange | undefined,
  algorithm: ChecksumAlgorithm | undefined,
) {
  const { start, end } = range ?? { start: 0, end: object.size - 1 }
  const content = store.disk.read(object.blobs, start, end)
  const md5 = createHash('md5')
  const checksum = algorithm === undefined ? undefined : startChecksum(algorithm)
  const copy = store.disk.write(async (append) => {
    for await (const chunk of content) {
      md5.update(chunk)
      checksum?.update(chunk)
      await append(chunk)
    }
  })
  const [blob] = await copy.finally(() => content.return())
  const value = checksum?.digest().toString('base64')
  return {
    blob,
    md5: md5.digest('hex'),
    checksum:
      algorithm === undefined || value === undefined
        ? undefined
        : ({ algorithm, value, type: 'FULL_OBJECT' } as const),
  }
}

/** The inner XML of a copy's result. */
export function copyResult(copy: Pick<StoredObject, 'etag' | 'lastModified' | 'checksum'>): string {
  const { checksum } = copy
  return (
    element('ETag', quoted(copy.etag)) +
    element('LastModified', new Date(copy.lastModified).toISOString()) +
    (checksum === undefined ? '' : element(`Checksum${checksum.algorithm.toUpperCase()}`, checksum.value))
  )
}

/** The bucket of an upload, made on the spot when R2's own header asks for that. */
export function uploadBucket({ headers, identity, store, target, now }: R2Request): R2Bucket {
  if (headers.get('cf-create-bucket-if-missing') === 'true' && !store.has(target.bucket)) {
    authorize(identity, 'CreateBucket', target.bucket, '')
    return store.create(target.bucket, now, undefined)
  }
  return store.bucket(target.bucket)
}

function selectRange({ headers, target }: R2Request, object: StoredObject): ByteRange | undefined {
  const partNumber = target.query.get('partNumber')
  if (partNumber === undefined) return parseRange(headers.get('range'), object.size)
  if (headers.get('range') !== undefined)
    throw new S3Error('InvalidRequest', 'Give a Range or a partNumber, not both.')
  const index = Number(partNumber) - 1
  if (!/^\d{1,5}$/.test(partNumber) || index < 0)
    throw new S3Error('InvalidArgument', 'The part number must be 1 to 10,000.')
  const part = object.blobs[index]
  if (part === undefined) throw new S3Error('InvalidRange')
  const start = object.blobs.slice(0, index).reduce((sum, blob) => sum + blob.size, 0)
  if (part.size === 0) return undefined
  return { start, end: start + part.size - 1 }
}

function mergeMetadata(
  directive: string,
  source: ObjectMetadata,
  given: ObjectMetadata,
  storageClass: string | undefined,
): ObjectMetadata {
  const chosen = storageClass ?? (directive === 'REPLACE' ? 'STANDARD' : source.storageClass)
  if (directive === 'COPY') return { ...source, storageClass: chosen }
  if (directive === 'REPLACE') return { ...given, storageClass: chosen }
  return {
    http: { ...source.http, ...given.http },
    custom: { ...source.custom, ...given.custom },
    storageClass: chosen,
  }
}
