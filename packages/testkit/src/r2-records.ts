import type { Checksum, ChecksumAlgorithm } from './r2-checksum.ts'
import type { R2CorsRule } from './r2-cors.ts'
import type { Blob } from './r2-disk.ts'

/** What travels with an object besides its bytes. */
export interface ObjectMetadata {
  /** `content-type`, `cache-control` and their like, by header name. */
  readonly http: Readonly<Record<string, string>>
  /** Custom metadata, without the `x-amz-meta-` before its names. */
  readonly custom: Readonly<Record<string, string>>
  readonly storageClass: string
}

/** One object as its record on disk has it. */
export interface StoredObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  /** ms since the epoch */
  readonly lastModified: number
  /** The content, in order: one blob, or one for each part of a multipart upload. */
  readonly blobs: readonly Blob[]
  readonly metadata: ObjectMetadata
  readonly checksum: Checksum | undefined
  /** How many parts it was uploaded in; undefined when it came in one request. */
  readonly parts: number | undefined
}

/** One part of an open multipart upload. */
export interface StoredPart {
  readonly number: number
  readonly blob: Blob
  readonly md5: string
  readonly checksum: Checksum | undefined
  readonly lastModified: number
}

/** An open multipart upload as its record on disk has it. */
export interface StoredUpload {
  readonly id: string
  readonly key: string
  readonly initiated: number
  readonly metadata: ObjectMetadata
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: Checksum['type'] } | undefined
}

/** What is kept of a bucket itself. */
export interface BucketRecord {
  readonly created: number
  readonly cors: readonly R2CorsRule[] | undefined
  readonly lifecycle: string | undefined
}
