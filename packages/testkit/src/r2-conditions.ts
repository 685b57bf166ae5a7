import { S3Error } from './r2-s3-error.ts'

/** The state of an object that conditions are judged against; undefined when there is none. */
export interface ObjectState {
  readonly etag: string
  /** ms since the epoch */
  readonly lastModified: number
}

/** The four conditional headers, from whichever family of names they came. */
export interface Conditions {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
  readonly ifModifiedSince: string | undefined
  readonly ifUnmodifiedSince: string | undefined
}

/** Reads the conditions whose names start with `prefix`, e.g. `''` or `x-amz-copy-source-`. */
export function readConditions(header: (name: string) => string | undefined, prefix = ''): Conditions {
  return {
    ifMatch: header(`${prefix}if-match`),
    ifNoneMatch: header(`${prefix}if-none-match`),
    ifModifiedSince: header(`${prefix}if-modified-since`),
    ifUnmodifiedSince: header(`${prefix}if-unmodified-since`),
  }
}

/**
 * Judges conditions in the order of RFC 9110 §13.2.2, where an ETag condition overrides the date condition beside it.
 *
 * @returns `'met'`, `'failed'` (412), or `'unchanged'`: what the client has is still current (304 for a read, 412 else).
 */
export function judge(
  conditions: Conditions,
  state: ObjectState | undefined,
): 'met' | 'failed' | 'unchanged' {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions
  if (ifMatch !== undefined) {
    if (state === undefined || !matches(ifMatch, state.etag)) return 'failed'
  } else if (ifUnmodifiedSince !== undefined && state !== undefined) {
    const since = Date.parse(ifUnmodifiedSince)
    if (!Number.isNaN(since) && wholeSeconds(state.lastModified) > since) return 'failed'
  }
  if (ifNoneMatch !== undefined) {
    if (state !== undefined && matches(ifNoneMatch, state.etag)) return 'unchanged'
  } else if (ifModifiedSince !== undefined && state !== undefined) {
    const since = Date.parse(ifModifiedSince)
    if (!Number.isNaN(since) && wholeSeconds(state.lastModified) <= since) return 'unchanged'
  }
  return 'met'
}

/** For writes, where anything but `'met'` is a 412. */
export function requireMet(conditions: Conditions, state: ObjectState | undefined): void {
  if (judge(conditions, state) !== 'met') throw new S3Error('PreconditionFailed')
}

function matches(header: string, etag: string): boolean {
  return header
    .split(',')
    .map((entry) => entry.trim().replace(/^W\//, ''))
    .some((entry) => entry === '*' || entry.replace(/^"(.*)"$/, '$1') === etag)
}

function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000
}
