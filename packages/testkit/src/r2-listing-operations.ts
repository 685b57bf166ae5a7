import { continuationToken, type ListPage, listPage, pageSize, readContinuationToken } from './r2-listing.ts'
import { quoted } from './r2-metadata.ts'
import type { StoredObject } from './r2-records.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import { encodePath } from './r2-uri.ts'
import { element, s3Document } from './r2-xml.ts'

export function listObjectsV2({ store, target }: R2Request): R2Reply {
  const { query } = target
  const bucket = store.bucket(target.bucket)
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after')
  const limit = pageSize(query.get('max-keys'))
  const page = listPage(bucket, {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    after: token === undefined ? (startAfter ?? '') : readContinuationToken(token),
    resumes: token !== undefined,
    limit,
  })
  const encode = encoder(query)
  const xml =
    listingHead(bucket.name, query, limit, page, encode) +
    element('KeyCount', page.objects.length + page.prefixes.length) +
    (token === undefined ? '' : element('ContinuationToken', token)) +
    (startAfter === undefined ? '' : element('StartAfter', encode(startAfter))) +
    (page.next === undefined ? '' : element('NextContinuationToken', continuationToken(page.next))) +
    listingEntries(page, encode)
  return { status: 200, xml: s3Document('ListBucketResult', xml) }
}

export function listObjectsV1({ store, target }: R2Request): R2Reply {
  const { query } = target
  const bucket = store.bucket(target.bucket)
  const marker = query.get('marker') ?? ''
  const limit = pageSize(query.get('max-keys'))
  const page = listPage(bucket, {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    after: marker,
    resumes: true,
    limit,
  })
  const encode = encoder(query)
  const xml =
    listingHead(bucket.name, query, limit, page, encode) +
    element('Marker', encode(marker)) +
    (page.next === undefined || !query.has('delimiter') ? '' : element('NextMarker', encode(page.next))) +
    listingEntries(page, encode)
  return { status: 200, xml: s3Document('ListBucketResult', xml) }
}

export function listMultipartUploads({ store, target, now }: R2Request): R2Reply {
  const { query } = target
  const bucket = store.bucket(target.bucket)
  bucket.expireUploads(now)
  const encode = encoder(query)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  const limit = pageSize(query.get('max-uploads'))
  const all = bucket.uploads().filter(({ key }) => key.startsWith(prefix))
  const marked = all.findIndex(({ key, id }) => key === keyMarker && id === idMarker)
  const rest =
    marked >= 0
      ? all.slice(marked + 1)
      : all.filter(({ key }) => Buffer.compare(Buffer.from(key), Buffer.from(keyMarker)) > 0)
  const prefixes = new Set<string>()
  const shown: typeof all = []
  let last: (typeof all)[number] | undefined
  let truncated = false
  for (const upload of rest) {
    const cut = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length)
    const common = cut === -1 ? undefined : upload.key.slice(0, cut + delimiter.length)
    if (common === undefined || !prefixes.has(common)) {
      if (shown.length + prefixes.size >= limit) {
        truncated = limit > 0
        break
      }
      if (common === undefined) (shown as (typeof all)[number][]).push(upload)
      else prefixes.add(common)
    }
    last = upload
  }
  const xml =
    element('Bucket', bucket.name) +
    element('KeyMarker', encode(keyMarker)) +
    element('UploadIdMarker', idMarker) +
    (truncated && last !== undefined
      ? element('NextKeyMarker', encode(last.key)) + element('NextUploadIdMarker', last.id)
      : '') +
    element('Prefix', encode(prefix)) +
    (delimiter === '' ? '' : element('Delimiter', encode(delimiter))) +
    element('MaxUploads', limit) +
    element('IsTruncated', truncated) +
    (query.has('encoding-type') ? element('EncodingType', 'url') : '') +
    shown
      .map((upload) =>
        element(
          'Upload',
          element('Key', encode(upload.key)) +
            element('UploadId', upload.id) +
            element('Initiated', new Date(upload.initiated).toISOString()) +
            element('StorageClass', upload.metadata.storageClass),
          'raw',
        ),
      )
      .join('') +
    commonPrefixes([...prefixes], encode)
  return { status: 200, xml: s3Document('ListMultipartUploadsResult', xml) }
}

type Encode = (text: string) => string

function encoder(query: ReadonlyMap<string, string>): Encode {
  const type = query.get('encoding-type')
  if (type !== undefined && type !== 'url')
    throw new S3Error('InvalidArgument', 'The encoding type can only be url.')
  return type === 'url' ? encodePath : (text) => text
}

function listingHead(
  bucket: string,
  query: ReadonlyMap<string, string>,
  limit: number,
  page: ListPage,
  encode: Encode,
): string {
  const delimiter = query.get('delimiter')
  return (
    element('Name', bucket) +
    element('Prefix', encode(query.get('prefix') ?? '')) +
    (delimiter === undefined ? '' : element('Delimiter', encode(delimiter))) +
    element('MaxKeys', limit) +
    element('IsTruncated', page.next !== undefined) +
    (query.has('encoding-type') ? element('EncodingType', 'url') : '')
  )
}

function listingEntries(page: ListPage, encode: Encode): string {
  const contents = page.objects.map((object) => element('Contents', objectXml(object, encode), 'raw'))
  return contents.join('') + commonPrefixes(page.prefixes, encode)
}

function objectXml(object: StoredObject, encode: Encode): string {
  return (
    element('Key', encode(object.key)) +
    element('LastModified', new Date(object.lastModified).toISOString()) +
    element('ETag', quoted(object.etag)) +
    (object.checksum === undefined
      ? ''
      : element('ChecksumAlgorithm', object.checksum.algorithm.toUpperCase()) +
        element('ChecksumType', object.checksum.type)) +
    element('Size', object.size) +
    element('StorageClass', object.metadata.storageClass)
  )
}

function commonPrefixes(prefixes: readonly string[], encode: Encode): string {
  return prefixes
    .map((prefix) => element('CommonPrefixes', element('Prefix', encode(prefix)), 'raw'))
    .join('')
}
