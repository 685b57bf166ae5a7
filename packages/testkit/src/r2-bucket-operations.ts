import { parseCors, renderCors } from './r2-cors.ts'
import { MAX_XML_BYTES } from './r2-object-operations.ts'
import type { R2Reply, R2Request } from './r2-request.ts'
import { S3Error } from './r2-s3-error.ts'
import { element, s3Document } from './r2-xml.ts'
import { childrenOf, parseXml } from './r2-xml-parser.ts'

const MAX_CONFIGURATION_BYTES = 64 * 1024
// What R2 sets on every new bucket.
const DEFAULT_LIFECYCLE = s3Document(
  'LifecycleConfiguration',
  '<Rule><ID>Default Multipart Abort Rule</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>' +
    '<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>',
)

export function listBuckets({ store }: R2Request): R2Reply {
  const buckets = store
    .list()
    .map((bucket) =>
      element(
        'Bucket',
        element('CreationDate', new Date(bucket.created).toISOString()) + element('Name', bucket.name),
        'raw',
      ),
    )
  return {
    status: 200,
    xml: s3Document('ListAllMyBucketsResult', element('Buckets', buckets.join(''), 'raw')),
  }
}

export async function createBucket(request: R2Request): Promise<R2Reply> {
  // The body may ask for a location, of which there is only one here.
  const text = await request.body().text(MAX_XML_BYTES)
  if (text.trim() !== '') parseXml(text)
  request.store.create(request.target.bucket, request.now, undefined)
  return { status: 200, headers: { location: `/${request.target.bucket}` } }
}

export function headBucket({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket)
  return { status: 200 }
}

export function deleteBucket({ store, target }: R2Request): R2Reply {
  store.delete(target.bucket)
  return { status: 204 }
}

export function getBucketLocation({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket)
  return { status: 200, xml: s3Document('LocationConstraint', 'auto') }
}

export function getBucketEncryption({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket)
  const rule =
    '<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>'
  return { status: 200, xml: s3Document('ServerSideEncryptionConfiguration', rule) }
}

export function getBucketCors({ store, target }: R2Request): R2Reply {
  const { cors } = store.bucket(target.bucket)
  if (cors === undefined) throw new S3Error('NoSuchCORSConfiguration')
  return { status: 200, xml: renderCors(cors) }
}

export async function putBucketCors(request: R2Request): Promise<R2Reply> {
  const bucket = request.store.bucket(request.target.bucket)
  bucket.configure({ cors: parseCors(parseXml(await request.body().text(MAX_CONFIGURATION_BYTES))) })
  return { status: 200 }
}

export function deleteBucketCors({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket).configure({ cors: undefined })
  return { status: 204 }
}

/** Lifecycle rules are kept and told, not carried out, except that uploads end after 7 days. */
export function getBucketLifecycle({ store, target }: R2Request): R2Reply {
  return { status: 200, xml: store.bucket(target.bucket).lifecycle ?? DEFAULT_LIFECYCLE }
}

export async function putBucketLifecycle(request: R2Request): Promise<R2Reply> {
  const bucket = request.store.bucket(request.target.bucket)
  const text = await request.body().text(MAX_CONFIGURATION_BYTES)
  const root = parseXml(text)
  if (root.name !== 'LifecycleConfiguration' || childrenOf(root, 'Rule').length === 0)
    throw new S3Error('MalformedXML')
  bucket.configure({ lifecycle: text })
  return { status: 200 }
}

export function deleteBucketLifecycle({ store, target }: R2Request): R2Reply {
  store.bucket(target.bucket).configure({ lifecycle: undefined })
  return { status: 204 }
}
