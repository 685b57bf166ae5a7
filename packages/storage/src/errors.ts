import { CaysError, type CaysErrorOptions, type ErrorTable } from '@cays/core/error'

/** Every code of this package: what it means and what to do. */
export const STORAGE_ERRORS = {
  STORAGE_ERR_OPTION: {
    meaning: 'An option is missing, unknown or out of range. The message names it and what it accepts.',
    retryable: false,
  },
  STORAGE_ERR_KEY: {
    meaning:
      'A key is empty, longer than 1,024 bytes, or has control characters, empty, `.` or `..` segments. Let the server mint keys; keep user file names in metadata.',
    retryable: false,
  },
  STORAGE_ERR_UNSUPPORTED: {
    meaning:
      'The provider of this bucket cannot do what was asked; nothing was sent. See the capability table in the README.',
    retryable: false,
  },
  STORAGE_ERR_NOT_FOUND: {
    meaning: 'There is no such object, bucket or multipart upload.',
    retryable: false,
  },
  STORAGE_ERR_PRECONDITION: {
    meaning: 'The object is not in the state that `ifMatch` or `ifNoneMatch` asked for; nothing was written.',
    retryable: false,
  },
  STORAGE_ERR_RANGE: {
    meaning: 'The range lies outside the object.',
    retryable: false,
  },
  STORAGE_ERR_SIZE: {
    meaning:
      'The source had more or fewer bytes than its stated size, or is larger than the provider takes. Nothing is visible under the key.',
    retryable: false,
  },
  STORAGE_ERR_CHECKSUM: {
    meaning: 'What arrived is not what was sent. Nothing is visible under the key; send it again.',
    retryable: true,
  },
  STORAGE_ERR_IMAGE: {
    meaning:
      'A picture cannot be worked on: it has more pixels or pictures than allowed, is broken, or of a type that sharp does not read.',
    retryable: false,
  },
  STORAGE_ERR_DENIED: {
    meaning:
      'The provider refused the credentials or their rights, or the clock of this machine is off by more than 15 minutes.',
    retryable: false,
  },
  STORAGE_ERR_THROTTLED: {
    meaning: 'The provider asks to slow down, also after retries. R2 takes one write per second and key.',
    retryable: true,
  },
  STORAGE_ERR_UNAVAILABLE: {
    meaning:
      'The provider did not answer, broke the connection or failed, also after retries. A write may or may not have happened; `put` of the same bytes can be repeated safely.',
    retryable: true,
  },
  STORAGE_ERR_SOURCE: {
    meaning: 'The stream given to `put` failed; its error is the cause. Nothing is visible under the key.',
    retryable: false,
  },
  STORAGE_ERR_CLOSED: {
    meaning: 'The storage was closed before the call started.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** One of the codes in {@link STORAGE_ERRORS}. */
export type StorageErrorCode = keyof typeof STORAGE_ERRORS

/** Every failure of this package. Branch on `code`; `retryable` says whether the same call may succeed later. */
export class StorageError extends CaysError<StorageErrorCode> {
  static override readonly id: string = 'storage.StorageError'

  constructor(code: StorageErrorCode, message: string, options: CaysErrorOptions = {}) {
    super(code, message, { retryable: STORAGE_ERRORS[code].retryable, ...options })
  }
}

/** The call itself is wrong: fix the code, not the environment. Thrown before any I/O. */
export class StorageUsageError extends StorageError {
  static override readonly id: string = 'storage.StorageUsageError'
}
