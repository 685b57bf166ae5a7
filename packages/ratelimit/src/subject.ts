import { createHash } from 'node:crypto'
import { LimitConfigError } from './errors.ts'

const LONGEST = 128

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
  if (isPlain(subject)) return subject
  return `#${createHash('sha256').update(Buffer.from(subject, 'utf16le')).digest('base64url')}`
}

// A loop over so few characters takes a third of what a pattern does, and every decision comes through here.
function isPlain(subject: string): boolean {
  if (subject.length > LONGEST || subject.charCodeAt(0) === 35) return false
  for (let index = 0; index < subject.length; index++) {
    const code = subject.charCodeAt(index)
    if (code < 33 || code > 126) return false
  }
  return true
}

/** FNV-1a, for spreading subjects over partitions. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}
