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
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { StorageError, StorageUsageError } from './errors.ts'
import { mintR2Credentials } from './grant.ts'
import { Presigner } from './presign.ts'
import type { ListPage, OpenUpload, Provider, StoredPart } from './provider.ts'
import { openS3Client, type S3Settings } from './s3-client.ts'
import { fromS3 } from './s3-error.ts'
import {
  conditionsInput,
  copySource,
  etagOf,
  etagOfParts,
  headersInput,
  headOf,
  md5,
  present,
  readable,
} from './s3-object.ts'

/** R2, S3, Ceph and whatever else speaks S3, through the AWS SDK. */
export function s3Provider(settings: S3Settings): Provider {
  const { bucket: Bucket, capabilities, name } = settings
  const client = openS3Client(settings)
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
