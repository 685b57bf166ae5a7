export type { Bucket } from './bucket.ts'
export type {
  Call,
  CopyOptions,
  DeleteOutcome,
  Downloaded,
  DownloadOptions,
  DownloadToOptions,
  GetOptions,
  GrantOptions,
  ListOptions,
  PutOptions,
  SignedPut,
  SignGetOptions,
  SignPutOptions,
  StoredObject,
} from './bucket-types.ts'
export {
  type BucketSource,
  type R2Capabilities,
  type R2Options,
  r2,
  type S3Capabilities,
  type S3Options,
  type ServerCapabilities,
  s3,
} from './buckets.ts'
export {
  type BucketSources,
  createStorage,
  type Storage,
  type StorageEvents,
  type StorageHealth,
  type StorageOptions,
  type SweepOptions,
} from './create-storage.ts'
export {
  defineUpload,
  type Inspected,
  type UploadDefinition,
  type UploadOptions,
  type Verdict,
} from './define-upload.ts'
export { STORAGE_ERRORS, StorageError, type StorageErrorCode, StorageUsageError } from './errors.ts'
export type { GrantPermission, TemporaryCredentials } from './grant.ts'
export type { ImageLimits } from './image-limits.ts'
export {
  type DiskOptions,
  disk,
  type LocalBucketSource,
  type LocalCapabilities,
  type MemoryOptions,
  memory,
} from './local-buckets.ts'
export type { PartDigests } from './part-digests.ts'
export type { Credentials } from './presign.ts'
export type { Capabilities, Given, IsTrue, Lacking, Needs, ObjectHead, ObjectInfo } from './provider.ts'
export type { PutResult } from './put.ts'
export { redactUrl } from './redact-url.ts'
export type { Source } from './source.ts'
export type { SweepReport } from './sweep.ts'
export type {
  CompleteRequest,
  CompleteResult,
  IssueRequest,
  IssueResult,
  Refusal,
  RefusalReason,
  ResumeRequest,
  UploadedObject,
  UploadPart,
  UploadTicket,
} from './upload-types.ts'
export type { Uploads } from './uploads.ts'
