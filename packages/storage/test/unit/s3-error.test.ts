import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/errors.ts'
import { fromS3 } from '../../src/s3-error.ts'

/** As the SDK throws it. */
function thrown(name: string, httpStatusCode?: number): Error {
  const error = Object.assign(new Error(`${name}: key secret/name of bucket private`), {
    $metadata: httpStatusCode === undefined ? {} : { httpStatusCode },
  })
  error.name = name
  return error
}

describe("a provider's error", () => {
  it.each([
    ['NoSuchKey', 404, 'NOT_FOUND', false],
    ['NotFound', 404, 'NOT_FOUND', false],
    ['NoSuchUpload', 404, 'NOT_FOUND', false],
    ['NoSuchBucket', 404, 'NOT_FOUND', false],
    ['PreconditionFailed', 412, 'PRECONDITION', false],
    ['ConditionalRequestConflict', 409, 'PRECONDITION', false],
    ['InvalidRange', 416, 'RANGE', false],
    ['BadDigest', 400, 'CHECKSUM', true],
    ['InvalidPart', 400, 'CHECKSUM', true],
    ['EntityTooLarge', 400, 'SIZE', false],
    ['AccessDenied', 403, 'DENIED', false],
    ['SignatureDoesNotMatch', 403, 'DENIED', false],
    ['RequestTimeTooSkewed', 403, 'DENIED', false],
    ['ExpiredToken', 400, 'DENIED', false],
    ['NotImplemented', 501, 'UNSUPPORTED', false],
    ['SlowDown', 503, 'THROTTLED', true],
    ['TooManyRequests', 429, 'THROTTLED', true],
    ['IncompleteBody', 400, 'UNAVAILABLE', true],
    ['InternalError', 500, 'UNAVAILABLE', true],
    ['ServiceUnavailable', 503, 'UNAVAILABLE', true],
    ['TimeoutError', undefined, 'UNAVAILABLE', true],
    ['ECONNRESET', undefined, 'UNAVAILABLE', true],
    // A name that nobody knows: the status decides.
    ['WhoKnows', 403, 'DENIED', false],
    ['WhoKnows', 404, 'NOT_FOUND', false],
    ['WhoKnows', 412, 'PRECONDITION', false],
    ['WhoKnows', 429, 'THROTTLED', true],
    ['WhoKnows', 418, 'UNAVAILABLE', true],
  ] as const)('%s (%s) is STORAGE_ERR_%s', (name, status, code, retryable) => {
    const cause = thrown(name, status)
    const error = fromS3(cause) as StorageError
    expect(error).toMatchObject({ code: `STORAGE_ERR_${code}`, retryable, cause })
    expect(error.message).not.toMatch(/secret|private/)
  })

  it('is read by its code where its name is another', () => {
    expect(fromS3({ name: 'Error', Code: 'NoSuchKey' })).toMatchObject({ code: 'STORAGE_ERR_NOT_FOUND' })
    expect(fromS3(undefined)).toMatchObject({ code: 'STORAGE_ERR_UNAVAILABLE' })
  })

  it('that is ours stays as it is, and an abort ends with its reason', () => {
    const ours = new StorageError('STORAGE_ERR_CLOSED', 'closed')
    expect(fromS3(ours)).toBe(ours)
    expect(fromS3(thrown('AbortError'), AbortSignal.abort('enough'))).toBe('enough')
  })
})
