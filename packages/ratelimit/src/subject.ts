import { createHash } from 'node:crypto'
import { LimitConfigError } from './errors.ts'

const PLAIN = /^[!"$-~][!-~]{0,127}$/

/**
 * The form of a subject used in storage keys: short printable ASCII as it is, anything else (long, binary,
 * other scripts) as '#' and a digest of its UTF-16 text. Two different subjects never share a form.
 */
export function subjectForm(subject: string): string {
  if (typeof subject !== 'string' || subject.length === 0) {
    throw new LimitConfigError(
      'LIMIT_ERR_BAD_ARGUMENT',
      'the subject of a limit must be a string that is not empty: check the function that makes the key',
    )
  }
  if (PLAIN.test(subject)) return subject
  return `#${createHash('sha256').update(Buffer.from(subject, 'utf16le')).digest('base64url')}`
}

/** FNV-1a, for spreading subjects over partitions. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}
