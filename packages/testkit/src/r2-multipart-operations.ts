import { createHash } from 'node:crypto'
import type { Checksum, ChecksumAlgorithm } from './r2-checksum.ts'
import { CHECKSUM_ALGORITHMS, checksumAlgorithm, startChecksum } from './r2-checksum.ts'
import type { Blob } from './r2-disk.ts'
import { pageSize } from './r2-listing.ts'
import { checksumHeaders, quoted, readMetadata } from './r2-metadata.ts'
import { copyBytes, copyResult, copySource, MAX_XML_BYTES, uploadBucket } from './r2-object-operations.ts'
import { parseRange } from './r2-range.ts'
import type { StoredObject, StoredPart, StoredUpload } from './r2-records.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import { encodePath, encodeUri } from './r2-uri.ts'
import { element, s3Document } from './r2-xml.ts'
import { childrenOf, childText, parseXml, type XmlElement } from './r2-xml-parser.ts'

const MIN_PART_BYTES = 5 * 1024 * 1024
const MAX_PARTS = 10_000
const MAX_OBJECT_BYTES = 5 * 1024 ** 4 - 5 * 1024 ** 3

export function createMultipartUpload(request: R2Request): R2Reply {
  const { headers, target, now } = request
  const checksum = declaredChecksum(
    headers.get('x-amz-checksum-algorithm'),
    headers.get('x-amz-checksum-type'),
  )
  const metadata = readMetadata(headers)
  const bucket = uploadBucket(request)
  bucket.expireUploads(now)
  const { id } = bucket.createUpload({ key: target.key, initiated: now, metadata, checksum })
  const named: Record<string, string> =
    checksum === undefined
      ? {}
      : {
          'x-amz-checksum-algorithm': checksum.algorithm.toUpperCase(),
          'x-amz-checksum-type': checksum.type,
        }
  const xml = element('Bucket', bucket.name) + element('Key', target.key) + element('UploadId', id)
  return { status: 200, headers: named, xml: s3Document('InitiateMultipartUploadResult', xml) }
}

export async function uploadPart(request: R2Request): Promise<R2Reply> {
  const { store, target, now } = request
  const number = partNumber(request)
  const id = uploadId(request)
  const body = request.body()
  const bucket = store.bucket(target.bucket)
  const { checksum: wanted } = bucket.upload(target.key, id)
  if (wanted !== undefined && body.algorithm !== undefined && body.algorithm !== wanted.algorithm)
    throw new S3Error('InvalidRequest', 'The checksum algorithm differs from that of the upload.')
  const [blob, received] = await store.disk.write((append) => body.receive(append, wanted?.algorithm))
  bucket.addPart(target.key, id, {
    number,
    blob,
    md5: received.md5,
    checksum: received.checksum,
    lastModified: now,
  })
  return { status: 200, headers: { etag: quoted(received.md5), ...partChecksum(received.checksum) } }
}

export async function uploadPartCopy(request: R2Request): Promise<R2Reply> {
  const { headers, store, target, now } = request
  const number = partNumber(request)
  const id = uploadId(request)
  const bucket = store.bucket(target.bucket)
  const { checksum: wanted } = bucket.upload(target.key, id)
  const { object } = copySource(request)
  const header = headers.get('x-amz-copy-source-range')
  const range = parseRange(header, object.size)
  if (header !== undefined && (range === undefined || !header.endsWith(`-${range.end}`)))
    throw new S3Error('InvalidArgument', 'The source range must be bytes=first-last within the source.')
  const { blob, md5, checksum } = await copyBytes(request, object, range, wanted?.algorithm)
  bucket.addPart(target.key, id, { number, blob, md5, checksum, lastModified: now })
  return {
    status: 200,
    xml: s3Document('CopyPartResult', copyResult({ etag: md5, lastModified: now, checksum })),
  }
}

export async function completeMultipartUpload(request: R2Request): Promise<R2Reply> {
  const { store, target, now, origin } = request
  const id = uploadId(request)
  const root = parseXml(await request.body().text(MAX_XML_BYTES))
  const bucket = store.bucket(target.bucket)
  const upload = bucket.upload(target.key, id)
  const chosen = chooseParts(root, bucket.parts(target.key, id))
  const blobs = chosen.map((part) => part.blob)
  const size = blobs.reduce((sum, blob) => sum + blob.size, 0)
  if (size > MAX_OBJECT_BYTES) throw new S3Error('EntityTooLarge')
  const md5 = createHash('md5')
  for (const part of chosen) md5.update(part.md5, 'hex')
  const object: StoredObject = {
    key: upload.key,
    size,
    etag: `${md5.digest('hex')}-${chosen.length}`,
    lastModified: now,
    blobs,
    metadata: upload.metadata,
    checksum: await objectChecksum(request, upload, chosen, size),
    parts: chosen.length,
  }
  const expected = object.checksum && request.headers.get(`x-amz-checksum-${object.checksum.algorithm}`)
  if (expected !== undefined && expected !== object.checksum?.value) throw new S3Error('BadDigest')
  bucket.completeUpload(id, object, () => unchanged(chosen, bucket.parts(target.key, id)))
  const { checksum } = object
  const xml =
    element('Location', `${origin}/${encodeUri(bucket.name)}/${encodePath(object.key)}`) +
    element('Bucket', bucket.name) +
    element('Key', object.key) +
    element('ETag', quoted(object.etag)) +
    (checksum === undefined
      ? ''
      : element(`Checksum${checksum.algorithm.toUpperCase()}`, checksum.value) +
        element('ChecksumType', checksum.type))
  return { status: 200, xml: s3Document('CompleteMultipartUploadResult', xml) }
}

export function abortMultipartUpload(request: R2Request): R2Reply {
  const { store, target } = request
  store.bucket(target.bucket).abortUpload(target.key, uploadId(request))
  return { status: 204 }
}

export function listParts(request: R2Request): R2Reply {
  const { store, target } = request
  const id = uploadId(request)
  const bucket = store.bucket(target.bucket)
  const upload = bucket.upload(target.key, id)
  const marker = target.query.get('part-number-marker') ?? '0'
  if (!/^\d{1,10}$/.test(marker))
    throw new S3Error('InvalidArgument', 'The part number marker must be a number.')
  const limit = pageSize(target.query.get('max-parts'))
  const rest = bucket.parts(target.key, id).filter((part) => part.number > Number(marker))
  const page = rest.slice(0, limit)
  const { checksum } = upload
  const xml =
    element('Bucket', bucket.name) +
    element('Key', upload.key) +
    element('UploadId', id) +
    element('PartNumberMarker', Number(marker)) +
    element('NextPartNumberMarker', page.at(-1)?.number ?? Number(marker)) +
    element('MaxParts', limit) +
    element('IsTruncated', limit > 0 && rest.length > page.length) +
    element('StorageClass', upload.metadata.storageClass) +
    (checksum === undefined
      ? ''
      : element('ChecksumAlgorithm', checksum.algorithm.toUpperCase()) +
        element('ChecksumType', checksum.type)) +
    page.map((part) => element('Part', partXml(part), 'raw')).join('')
  return { status: 200, xml: s3Document('ListPartsResult', xml) }
}

function partXml(part: StoredPart): string {
  return (
    element('PartNumber', part.number) +
    element('LastModified', new Date(part.lastModified).toISOString()) +
    element('ETag', quoted(part.md5)) +
    element('Size', part.blob.size) +
    (part.checksum === undefined
      ? ''
      : element(`Checksum${part.checksum.algorithm.toUpperCase()}`, part.checksum.value))
  )
}

function declaredChecksum(name: string | undefined, type: string | undefined): StoredUpload['checksum'] {
  if (name === undefined) return undefined
  const algorithm = checksumAlgorithm(name)
  if (algorithm === undefined) throw new S3Error('InvalidRequest', 'The checksum algorithm is unknown.')
  const only = algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE'
  if (type !== undefined && type !== only)
    throw new S3Error(
      'InvalidRequest',
      'R2 has full-object checksums for CRC64NVME only, and no composite one for it.',
    )
  return { algorithm, type: only }
}

/** The parts a completion names, in order, once they keep R2's rules. */
function chooseParts(root: XmlElement, stored: readonly StoredPart[]): readonly StoredPart[] {
  const named = childrenOf(root, 'Part')
  if (root.name !== 'CompleteMultipartUpload' || named.length === 0 || named.length > MAX_PARTS)
    throw new S3Error('MalformedXML')
  const byNumber = new Map(stored.map((part) => [part.number, part]))
  let previous = 0
  const chosen = named.map((entry) => {
    const number = Number(childText(entry, 'PartNumber'))
    if (!Number.isInteger(number)) throw new S3Error('MalformedXML')
    if (number <= previous) throw new S3Error('InvalidPartOrder')
    previous = number
    const part = byNumber.get(number)
    const etag = (childText(entry, 'ETag') ?? '').replace(/^"(.*)"$/, '$1')
    if (part === undefined || part.md5 !== etag) throw new S3Error('InvalidPart')
    for (const algorithm of CHECKSUM_ALGORITHMS) {
      const value = childText(entry, `Checksum${algorithm.toUpperCase()}`)
      if (value !== undefined && part.checksum?.algorithm === algorithm && part.checksum.value !== value)
        throw new S3Error('InvalidPart')
    }
    return part
  })
  checkSizes(chosen.map((part) => part.blob))
  return chosen
}

function checkSizes(blobs: readonly Blob[]): void {
  const first = blobs[0]?.size ?? 0
  const lastSize = blobs.at(-1)?.size ?? 0
  const before = blobs.slice(0, -1)
  if (before.some((blob) => blob.size < MIN_PART_BYTES)) throw new S3Error('EntityTooSmall')
  if (before.some((blob) => blob.size !== first) || lastSize > first)
    throw new S3Error(
      'InvalidPart',
      'All parts but the last must have the same size, and the last may not be larger.',
    )
}

async function objectChecksum(
  { store }: R2Request,
  upload: StoredUpload,
  parts: readonly StoredPart[],
  size: number,
): Promise<Checksum | undefined> {
  if (upload.checksum === undefined) return undefined
  const { algorithm, type } = upload.checksum
  const running = startChecksum(algorithm)
  if (type === 'COMPOSITE') {
    for (const { checksum } of parts) running.update(Buffer.from(checksum?.value ?? '', 'base64'))
    return { algorithm, type, value: `${running.digest().toString('base64')}-${parts.length}` }
  }
  const content = store.disk.read(
    parts.map((part) => part.blob),
    0,
    size - 1,
  )
  for await (const chunk of content) running.update(chunk)
  return { algorithm, type, value: running.digest().toString('base64') }
}

// Between choosing the parts and this step a part may have been replaced.
function unchanged(chosen: readonly StoredPart[], stored: readonly StoredPart[]): void {
  const blobs = new Set(stored.map((part) => part.blob.id))
  if (!chosen.every((part) => blobs.has(part.blob.id))) throw new S3Error('InvalidPart')
}

function partChecksum(
  checksum: { algorithm: ChecksumAlgorithm; value: string } | undefined,
): Record<string, string> {
  const { 'x-amz-checksum-type': _, ...headers } = checksumHeaders(
    checksum === undefined ? undefined : { ...checksum, type: 'FULL_OBJECT' },
  )
  return headers
}

function partNumber({ target }: R2Request): number {
  const text = target.query.get('partNumber') ?? ''
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > MAX_PARTS)
    throw new S3Error('InvalidArgument', 'The part number must be 1 to 10,000.')
  return Number(text)
}

function uploadId({ target }: R2Request): string {
  const id = target.query.get('uploadId') ?? ''
  if (!/^[\w-]{1,128}$/.test(id)) throw new S3Error('NoSuchUpload')
  return id
}
