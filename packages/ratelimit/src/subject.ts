import { hash } from 'node:crypto'
import { LimitConfigError } from './errors.ts'

const LONGEST = 128
const HASH = 35

/**
 * What stands for a subject in this process: itself, or '#' and a digest if it is long, so that what is
 * kept of it is bounded. Two different subjects never share a form.
 */
export function subjectForm(subject: string): string {
  if (typeof subject !== 'string' || subject.length === 0) {
    throw new LimitConfigError(
      'LIMIT_ERR_BAD_ARGUMENT',
      'the subject of a limit must be a string that is not empty: check the function that makes the key',
    )
  }
  return subject.length > LONGEST || subject.charCodeAt(0) === HASH ? digestOf(subject) : subject
}

/** What stands for a subject in keys: its form if that is printable ASCII, otherwise '#' and a digest. */
export function keyForm(form: string): string {
  for (let index = 0; index < form.length; index++) {
    const code = form.charCodeAt(index)
    if (code < 33 || code > 126) return digestOf(form)
  }
  return form
}

// Of the UTF-16 text: a lone surrogate has no UTF-8.
function digestOf(subject: string): string {
  return `#${hash('sha256', Buffer.from(subject, 'utf16le'), 'base64url')}`
}

/** FNV-1a, for spreading subjects over partitions. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}
