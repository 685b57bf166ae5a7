import { messageOf } from '@cays/core/error'
import { StorageError, type StorageErrorCode } from './errors.ts'

interface ServiceError {
  readonly name?: unknown
  readonly Code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
}

// The names that S3, R2 and Ceph use for one cause.
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  NoSuchKey: 'STORAGE_ERR_NOT_FOUND',
  NoSuchBucket: 'STORAGE_ERR_NOT_FOUND',
  NoSuchUpload: 'STORAGE_ERR_NOT_FOUND',
  NotFound: 'STORAGE_ERR_NOT_FOUND',
  PreconditionFailed: 'STORAGE_ERR_PRECONDITION',
  ConditionalRequestConflict: 'STORAGE_ERR_PRECONDITION',
  InvalidRange: 'STORAGE_ERR_RANGE',
  BadDigest: 'STORAGE_ERR_CHECKSUM',
  InvalidDigest: 'STORAGE_ERR_CHECKSUM',
  XAmzContentSHA256Mismatch: 'STORAGE_ERR_CHECKSUM',
  InvalidPart: 'STORAGE_ERR_CHECKSUM',
  InvalidPartOrder: 'STORAGE_ERR_CHECKSUM',
  EntityTooLarge: 'STORAGE_ERR_SIZE',
  EntityTooSmall: 'STORAGE_ERR_SIZE',
  IncompleteBody: 'STORAGE_ERR_UNAVAILABLE',
  AccessDenied: 'STORAGE_ERR_DENIED',
  InvalidAccessKeyId: 'STORAGE_ERR_DENIED',
  SignatureDoesNotMatch: 'STORAGE_ERR_DENIED',
  ExpiredToken: 'STORAGE_ERR_DENIED',
  // R2's words for credentials that do not hold, and for temporary ones that are over.
  Unauthorized: 'STORAGE_ERR_DENIED',
  ExpiredRequest: 'STORAGE_ERR_DENIED',
  RequestTimeTooSkewed: 'STORAGE_ERR_DENIED',
  NotImplemented: 'STORAGE_ERR_UNSUPPORTED',
  SlowDown: 'STORAGE_ERR_THROTTLED',
  TooManyRequests: 'STORAGE_ERR_THROTTLED',
  ServiceUnavailable: 'STORAGE_ERR_UNAVAILABLE',
  InternalError: 'STORAGE_ERR_UNAVAILABLE',
}

const STATUSES: Readonly<Record<number, StorageErrorCode>> = {
  401: 'STORAGE_ERR_DENIED',
  403: 'STORAGE_ERR_DENIED',
  404: 'STORAGE_ERR_NOT_FOUND',
  412: 'STORAGE_ERR_PRECONDITION',
  416: 'STORAGE_ERR_RANGE',
  429: 'STORAGE_ERR_THROTTLED',
  501: 'STORAGE_ERR_UNSUPPORTED',
}

const MESSAGES: Partial<Record<StorageErrorCode, string>> = {
  STORAGE_ERR_NOT_FOUND: 'there is no such object, upload or bucket',
  STORAGE_ERR_PRECONDITION: 'the object is not in the state that was asked for; nothing was written',
  STORAGE_ERR_RANGE: 'the range lies outside the object',
  STORAGE_ERR_CHECKSUM: 'what arrived is not what was sent; send it again',
  STORAGE_ERR_SIZE: 'the object or a part of it has a size that the provider does not take',
  STORAGE_ERR_DENIED:
    'the provider refused: check the credentials, their rights and the clock of this machine',
  STORAGE_ERR_UNSUPPORTED: 'the provider cannot do this',
  STORAGE_ERR_THROTTLED: 'the provider asks to slow down; try again later',
}

/**
 * The family's error for whatever the SDK threw. An abort of the caller's signal passes through untouched:
 * its reason is what the caller gets.
 */
export function fromS3(thrown: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason
  if (thrown instanceof StorageError) return thrown
  const { name, Code, $metadata } = (thrown ?? {}) as ServiceError
  const status = $metadata?.httpStatusCode
  const code =
    CODES[String(name)] ??
    CODES[String(Code)] ??
    (status === undefined ? undefined : STATUSES[status]) ??
    'STORAGE_ERR_UNAVAILABLE'
  const message =
    MESSAGES[code] ??
    `the provider did not answer as it should (${status ?? messageOf(name)}); try again later`
  return new StorageError(code, message, { cause: thrown })
}
