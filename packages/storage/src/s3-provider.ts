import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { StorageError, StorageUsageError } from './errors.ts'
import { mintR2Credentials } from './grant.ts'
import { type Credentials, encodePath, Presigner } from './presign.ts'
import type {
  Capabilities,
  Conditions,
  ListPage,
  ObjectHead,
  ObjectHeaders,
  OpenUpload,
  Provider,
  StoredPart,
} from './provider.ts'
import { fromS3 } from './s3-error.ts'
import { S3Http } from './s3-http.ts'

export interface S3Settings {
  readonly name: 'r2' | 's3'
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly credentials: Credentials
  readonly capabilities: Capabilities
  /** Where everybody can read. */
  readonly publicBaseUrl?: string | undefined
  /** R2's, for grants. */
  readonly accountId?: string | undefined
  /** Milliseconds without progress after which a request is given up and tried again. */
  readonly timeout: number
  /** Tries of one request in all. */
  readonly attempts: number
}

/** R2, S3, Ceph and whatever else speaks S3, through the AWS SDK. */
export function s3Provider(settings: S3Settings): Provider {
  const { bucket: Bucket, capabilities, name } = settings
  const client = new S3Client({
    endpoint: settings.endpoint,
    region: settings.region,
    credentials: { ...settings.credentials } as Credentials & { sessionToken: string },
    forcePathStyle: true,
    maxAttempts: settings.attempts,
    // The SDK's default adds checksums that R2, Ceph and others refuse or ignore; we send our own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new S3Http(settings.timeout),
  })
  hashOnce(client)
  const presigner = new Presigner(settings.endpoint, Bucket, settings.region, settings.credentials)

  const call = async <T>(
    work: (options: { abortSignal?: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
  ) => {
    try {
      return await work(signal ? { abortSignal: signal } : {})
    } catch (thrown) {
      throw fromS3(thrown, signal)
    }
  }

  return {
    name,
    capabilities,
    publicBaseUrl: settings.publicBaseUrl,

    async put(Key, Body, headers, conditions, signal) {
      const input = {
        Bucket,
        Key,
        Body,
        ContentMD5: md5(Body),
        ...headersInput(headers),
        ...conditionsInput(conditions),
      }
      const answer = await call((options) => client.send(new PutObjectCommand(input), options), signal)
      return { etag: etagOf(answer.ETag) }
    },

    async startMultipart(Key, headers, signal, hashed) {
      const algorithm = hashed && capabilities.verifiesSha256 ? { ChecksumAlgorithm: 'SHA256' as const } : {}
      const input = { Bucket, Key, ...headersInput(headers), ...algorithm }
      const { UploadId } = await call(
        (options) => client.send(new CreateMultipartUploadCommand(input), options),
        signal,
      )
      return present(UploadId)
    },

    async putPart(Key, UploadId, PartNumber, Body, signal) {
      const input = { Bucket, Key, UploadId, PartNumber, Body, ContentMD5: md5(Body) }
      const answer = await call((options) => client.send(new UploadPartCommand(input), options), signal)
      return { etag: etagOf(answer.ETag) }
    },

    async listParts(Key, UploadId, signal) {
      const parts: StoredPart[] = []
      let PartNumberMarker: string | undefined
      do {
        const input = { Bucket, Key, UploadId, ...(PartNumberMarker ? { PartNumberMarker } : {}) }
        const page = await call((options) => client.send(new ListPartsCommand(input), options), signal)
        for (const part of page.Parts ?? []) {
          parts.push({
            partNumber: present(part.PartNumber),
            size: part.Size ?? 0,
            etag: etagOf(part.ETag),
            sha256: part.ChecksumSHA256,
          })
        }
        PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined
      } while (PartNumberMarker)
      return parts
    },

    async completeMultipart(Key, UploadId, parts, conditions, signal) {
      const input = {
        Bucket,
        Key,
        UploadId,
        MultipartUpload: {
          Parts: parts.map(({ partNumber, etag, sha256 }) => ({
            PartNumber: partNumber,
            ETag: etag,
            ...(sha256 ? { ChecksumSHA256: sha256 } : {}),
          })),
        },
        ...conditionsInput(conditions),
      }
      const answer = await call(
        (options) => client.send(new CompleteMultipartUploadCommand(input), options),
        signal,
      )
      // Ceph leaves it out.
      return { etag: etagOf(answer.ETag) || etagOfParts(parts) }
    },

    async abortMultipart(Key, UploadId, signal) {
      try {
        await call(
          (options) => client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), options),
          signal,
        )
      } catch (error) {
        // Gone already is what was asked for.
        if (!(error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND')) throw error
      }
    },

    async *openUploads(Prefix, signal): AsyncGenerator<OpenUpload> {
      let markers: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {}
      while (markers) {
        const input: ListMultipartUploadsCommandInput = { Bucket, Prefix, ...markers }
        const page: ListMultipartUploadsCommandOutput = await call(
          (options) => client.send(new ListMultipartUploadsCommand(input), options),
          signal,
        )
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          yield { key: present(Key), uploadId: present(UploadId), startedAt: Initiated ?? new Date(0) }
        }
        markers = page.IsTruncated
          ? { KeyMarker: present(page.NextKeyMarker), UploadIdMarker: present(page.NextUploadIdMarker) }
          : undefined
      }
    },

    async get(Key, { range, ifMatch }, signal) {
      const input = {
        Bucket,
        Key,
        ...(range ? { Range: `bytes=${range.start}-${range.end ?? ''}` } : {}),
        ...(ifMatch ? { IfMatch: ifMatch } : {}),
      }
      const answer = await call((options) => client.send(new GetObjectCommand(input), options), signal)
      const body = answer.Body as AsyncIterable<Uint8Array> | undefined
      return {
        head: headOf(Key, answer),
        body: readable(present(body), present(answer.ContentLength), signal),
      }
    },

    async head(Key, signal) {
      return headOf(
        Key,
        await call((options) => client.send(new HeadObjectCommand({ Bucket, Key }), options), signal),
      )
    },

    async list({ prefix, limit, after }, signal): Promise<ListPage> {
      const input = {
        Bucket,
        Prefix: prefix,
        MaxKeys: limit,
        ...(after ? { ContinuationToken: after } : {}),
      }
      const page = await call((options) => client.send(new ListObjectsV2Command(input), options), signal)
      return {
        objects: (page.Contents ?? []).map((object) => ({
          key: present(object.Key),
          size: object.Size ?? 0,
          etag: etagOf(object.ETag),
          lastModified: object.LastModified ?? new Date(0),
        })),
        next: page.IsTruncated ? page.NextContinuationToken : undefined,
      }
    },

    async deleteMany(keys, signal) {
      const input = { Bucket, Delete: { Quiet: true, Objects: keys.map((Key) => ({ Key })) } }
      const answer = await call((options) => client.send(new DeleteObjectsCommand(input), options), signal)
      return new Map(
        (answer.Errors ?? []).map((failure) => [
          present(failure.Key),
          fromS3({ name: failure.Code, message: failure.Message }) as Error,
        ]),
      )
    },

    async copy(from, Key, headers, { ifMatch }, signal) {
      const input = {
        Bucket,
        Key,
        CopySource: copySource(Bucket, from),
        ...(ifMatch && capabilities.conditionalCopy ? { CopySourceIfMatch: ifMatch } : {}),
        ...(headers ? { MetadataDirective: 'REPLACE' as const, ...headersInput(headers) } : {}),
      }
      const answer = await call((options) => client.send(new CopyObjectCommand(input), options), signal)
      return { etag: etagOf(answer.CopyObjectResult?.ETag) }
    },

    async copyPart(from, Key, UploadId, PartNumber, { start, end }, ifMatch, signal) {
      const input = {
        Bucket,
        Key,
        UploadId,
        PartNumber,
        CopySource: copySource(Bucket, from),
        CopySourceRange: `bytes=${start}-${end}`,
        ...(capabilities.conditionalCopy ? { CopySourceIfMatch: ifMatch } : {}),
      }
      const answer = await call((options) => client.send(new UploadPartCopyCommand(input), options), signal)
      return { etag: etagOf(answer.CopyPartResult?.ETag) }
    },

    // The SDK learns from answers how far this machine's clock is off.
    sign: (request) => presigner.sign(request, Date.now() + client.config.systemClockOffset),

    grant: ({ prefix, permission, expiresIn }) => {
      if (settings.credentials.sessionToken !== undefined) {
        throw new StorageUsageError(
          'STORAGE_ERR_UNSUPPORTED',
          'grant: temporary credentials cannot grant more',
        )
      }
      const issuedAt = Date.now() + client.config.systemClockOffset
      return mintR2Credentials(settings.credentials, {
        accountId: settings.accountId ?? '',
        host: new URL(settings.endpoint).host,
        bucket: Bucket,
        permission,
        prefixes: [prefix],
        issuedAt,
        expiresAt: issuedAt + expiresIn,
      })
    },

    async close() {
      client.destroy()
    },
  }
}

const WRITE_ID = 'cays-write-id'

/**
 * Keeps the SDK from hashing a body whose MD5 is in a header that it signs: the provider checks that one before the
 * object exists, and a second hash would prove nothing more.
 */
function hashOnce(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (call) => {
      const { headers } = call.request as { readonly headers: Record<string, string> }
      if (headers['content-md5'] !== undefined) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
      return next(call)
    },
    { step: 'build', name: 'hashOnce' },
  )
}

/** The provider checks it before the object exists; every S3 we know does, unlike newer checksums. */
function md5(body: Uint8Array): string {
  return createHash('md5').update(body).digest('base64')
}

function headersInput(headers: ObjectHeaders) {
  const { contentType, contentDisposition, cacheControl, metadata, writeId } = headers
  return {
    ContentType: contentType,
    ...(contentDisposition ? { ContentDisposition: contentDisposition } : {}),
    ...(cacheControl ? { CacheControl: cacheControl } : {}),
    ...(metadata || writeId ? { Metadata: { ...metadata, ...(writeId && { [WRITE_ID]: writeId }) } } : {}),
  }
}

function copySource(bucket: string, key: string): string {
  return `${bucket}/${encodePath(key)}`
}

function conditionsInput({ ifMatch, ifNoneMatch }: Conditions) {
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

function headOf(key: string, answer: HeadAnswer): ObjectHead {
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
async function* readable(
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

function etagOf(etag: string | undefined): string {
  return (etag ?? '').replace(/^"|"$/g, '')
}

/** The MD5 of the parts' MD5s, as S3 and all that follow it have it. */
function etagOfParts(parts: readonly { readonly etag: string }[]): string {
  const digest = createHash('md5')
  for (const { etag } of parts) digest.update(etag, 'hex')
  return `${digest.digest('hex')}-${parts.length}`
}

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new StorageError(
      'STORAGE_ERR_UNAVAILABLE',
      'the provider left out a part of its answer; try again later',
    )
  }
  return value
}
