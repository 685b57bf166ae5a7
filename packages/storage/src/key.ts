import { StorageUsageError } from './errors.ts'

/** What R2 and S3 take, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1_024
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f]/
const LONE_SURROGATE = /\p{Surrogate}/u
/** Empty, `.` or `..`. */
const BAD_SEGMENT = /(?:^|\/)\.{0,2}(?:\/|$)/

/**
 * Refuses keys that some provider, proxy or file system would read as another key: empty, too long, with
 * control characters, unpaired surrogates, a backslash, or empty, `.` or `..` segments.
 */
export function checkKey(key: string): string {
  const mistake = keyMistake(key)
  if (mistake) throw new StorageUsageError('STORAGE_ERR_KEY', `the key ${mistake}`)
  return key
}

/** Where uploads wait until they are proven; what lies here is swept away. */
export const QUARANTINE = 'quarantine/'

/** A key that the app may write to itself. */
export function checkOwnKey(key: string): string {
  checkKey(key)
  if (!key.startsWith(QUARANTINE)) return key
  throw new StorageUsageError('STORAGE_ERR_KEY', `keys under ${QUARANTINE} belong to uploads and are swept`)
}

function keyMistake(key: unknown): string | undefined {
  if (typeof key !== 'string' || key.length === 0) return 'must be a non-empty string'
  // No character of a string takes more than three bytes.
  if (key.length > MAX_KEY_BYTES / 3 && Buffer.byteLength(key) > MAX_KEY_BYTES) {
    return `must not be longer than ${MAX_KEY_BYTES} bytes`
  }
  if (CONTROL.test(key)) return 'must not contain control characters'
  if (key.includes('\\')) return 'must not contain a backslash'
  if (LONE_SURROGATE.test(key)) return 'must be well-formed Unicode'
  if (BAD_SEGMENT.test(key)) return "must not have empty, '.' or '..' segments"
  return undefined
}

/** A prefix may end in a slash or be empty, and is otherwise held to the same rules. */
export function checkPrefix(prefix: string): string {
  if (prefix === '') return prefix
  checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
  return prefix
}
