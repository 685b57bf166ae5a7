import type { R2Headers } from './r2-headers.ts'
import { S3Error } from './r2-s3-error.ts'
import type { R2Target } from './r2-uri.ts'

/** Every operation of the S3 API that the server performs, under S3's own name. */
export type R2Operation =
  | 'ListBuckets'
  | 'CreateBucket'
  | 'HeadBucket'
  | 'DeleteBucket'
  | 'GetBucketLocation'
  | 'GetBucketEncryption'
  | 'GetBucketCors'
  | 'PutBucketCors'
  | 'DeleteBucketCors'
  | 'GetBucketLifecycleConfiguration'
  | 'PutBucketLifecycleConfiguration'
  | 'DeleteBucketLifecycle'
  | 'ListObjectsV1'
  | 'ListObjectsV2'
  | 'DeleteObjects'
  | 'PutObject'
  | 'CopyObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListParts'
  | 'ListMultipartUploads'

// Subresources of S3 that R2 answers with 501, and those of object versions, which it does not have.
const MISSING_SUBRESOURCES = [
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'logging',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'versionId',
  'versioning',
  'versions',
  'website',
] as const

const MISSING_HEADERS =
  /^x-amz-(acl|grant-.*|tagging|tagging-directive|tag-.*|object-lock-.*|bucket-object-lock-.*|website-redirect-location|server-side-encryption.*|copy-source-server-side-encryption.*|request-payer|expected-bucket-owner|source-expected-bucket-owner|mfa|bypass-governance-retention|write-offset-bytes|rename-source.*)$/

const BUCKET_OPERATIONS: Readonly<Record<string, Readonly<Record<string, R2Operation>>>> = {
  GET: {
    cors: 'GetBucketCors',
    encryption: 'GetBucketEncryption',
    lifecycle: 'GetBucketLifecycleConfiguration',
    location: 'GetBucketLocation',
    uploads: 'ListMultipartUploads',
  },
  PUT: { cors: 'PutBucketCors', lifecycle: 'PutBucketLifecycleConfiguration' },
  POST: { delete: 'DeleteObjects' },
  DELETE: { cors: 'DeleteBucketCors', lifecycle: 'DeleteBucketLifecycle' },
}

/**
 * Names the operation a request asks for.
 *
 * @throws S3Error NotImplemented for what S3 has and R2 lacks, MethodNotAllowed for what neither has.
 */
export function operationOf(method: string, target: R2Target, headers: R2Headers): R2Operation {
  const { bucket, key, query } = target
  if (method === 'POST' && /^multipart\/form-data/i.test(headers.get('content-type') ?? ''))
    throw new S3Error('NotImplemented', 'R2 has no POST policy uploads; use a presigned PUT.')
  const missing = MISSING_SUBRESOURCES.find((name) => query.has(name))
  if (missing !== undefined) throw new S3Error('NotImplemented', `R2 does not implement ?${missing}.`)
  const operation =
    bucket === ''
      ? method === 'GET'
        ? 'ListBuckets'
        : undefined
      : key === ''
        ? bucketOperation(method, query)
        : objectOperation(method, query, headers)
  if (operation === undefined) throw new S3Error('MethodNotAllowed')
  return operation
}

/** Refuses headers that ask for what R2 lacks, rather than pretend to have done it. */
export function refuseMissingHeaders(operation: R2Operation, headers: R2Headers): void {
  for (const name of headers.names())
    if (MISSING_HEADERS.test(name))
      throw new S3Error('NotImplemented', `R2 does not implement the header ${name}.`)
  const writeOnly = operation === 'CopyObject' || operation === 'CompleteMultipartUpload'
  if (writeOnly && (headers.get('if-match') ?? headers.get('if-none-match')) !== undefined)
    throw new S3Error(
      'NotImplemented',
      `R2 takes If-Match and If-None-Match on PutObject, not on ${operation}.`,
    )
}

function bucketOperation(method: string, query: ReadonlyMap<string, string>): R2Operation | undefined {
  const operations = BUCKET_OPERATIONS[method] ?? {}
  for (const [name, operation] of Object.entries(operations)) if (query.has(name)) return operation
  if (method === 'GET') return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjectsV1'
  if (['cors', 'lifecycle', 'encryption', 'uploads', 'delete', 'location'].some((name) => query.has(name)))
    return undefined
  if (method === 'PUT') return 'CreateBucket'
  if (method === 'HEAD') return 'HeadBucket'
  if (method === 'DELETE') return 'DeleteBucket'
  return undefined
}

function objectOperation(
  method: string,
  query: ReadonlyMap<string, string>,
  headers: R2Headers,
): R2Operation | undefined {
  const copies = headers.get('x-amz-copy-source') !== undefined
  const hasUpload = query.has('uploadId')
  if (method === 'PUT') {
    if (hasUpload || query.has('partNumber')) return copies ? 'UploadPartCopy' : 'UploadPart'
    return copies ? 'CopyObject' : 'PutObject'
  }
  if (method === 'GET') return hasUpload ? 'ListParts' : 'GetObject'
  if (method === 'HEAD') return 'HeadObject'
  if (method === 'DELETE') return hasUpload ? 'AbortMultipartUpload' : 'DeleteObject'
  if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload'
  if (method === 'POST' && hasUpload) return 'CompleteMultipartUpload'
  return undefined
}
