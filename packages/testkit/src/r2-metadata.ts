import type { Checksum } from './r2-checksum.ts'
import type { R2Headers } from './r2-headers.ts'
import type { ObjectMetadata, StoredObject } from './r2-records.ts'
import { S3Error } from './r2-s3-error.ts'

const HTTP_HEADERS = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
] as const
const MAX_CUSTOM_BYTES = 8192

/** Reads what is stored beside the content. @throws S3Error when custom metadata is too large or the class is unknown */
export function readMetadata(headers: R2Headers): ObjectMetadata {
  const http: Record<string, string> = {}
  for (const name of HTTP_HEADERS) {
    const value = headers.get(name)
    if (value !== undefined) http[name] = value
  }
  // aws-chunked is how the body travelled, not what it is.
  const encoding = http['content-encoding']
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== 'aws-chunked' && part !== '')
    .join(', ')
  if (encoding) http['content-encoding'] = encoding
  else delete http['content-encoding']
  const custom: [string, string][] = []
  let bytes = 0
  for (const [name, value] of headers.entries()) {
    if (!name.startsWith('x-amz-meta-')) continue
    custom.push([name.slice('x-amz-meta-'.length), value])
    bytes += name.length - 'x-amz-meta-'.length + Buffer.byteLength(value)
  }
  if (bytes > MAX_CUSTOM_BYTES) throw new S3Error('MetadataTooLarge')
  const storageClass = headers.get('x-amz-storage-class') ?? 'STANDARD'
  if (storageClass !== 'STANDARD' && storageClass !== 'STANDARD_IA') throw new S3Error('InvalidStorageClass')
  return { http, custom: Object.fromEntries(custom), storageClass }
}

/** Headers of an answer that shows an object. `overrides` are the `response-*` parameters of a signed GET. */
export function objectHeaders(
  object: StoredObject,
  overrides: ReadonlyMap<string, string>,
  withChecksum: boolean,
): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/octet-stream',
    ...object.metadata.http,
    etag: quoted(object.etag),
    'last-modified': new Date(object.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
  }
  for (const [name, value] of Object.entries(object.metadata.custom)) headers[`x-amz-meta-${name}`] = value
  if (object.metadata.storageClass !== 'STANDARD')
    headers['x-amz-storage-class'] = object.metadata.storageClass
  if (withChecksum) Object.assign(headers, checksumHeaders(object.checksum))
  for (const name of HTTP_HEADERS) {
    const value = overrides.get(`response-${name}`)
    if (value === undefined) continue
    if (!/^[\x20-\x7e\x80-\xff]*$/.test(value))
      throw new S3Error('InvalidArgument', 'A response header override holds characters no header can hold.')
    headers[name] = value
  }
  return headers
}

/** The two headers that tell a checksum. */
export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  return checksum === undefined
    ? {}
    : { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value, 'x-amz-checksum-type': checksum.type }
}

/** An ETag as it goes into headers and XML. */
export function quoted(etag: string): string {
  return `"${etag}"`
}
