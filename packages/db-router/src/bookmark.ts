import { createHmac, timingSafeEqual } from 'node:crypto'
import { formatLsn, type Position, parseLsn } from './lsn.ts'

/**
 * What a session has to see, in a form that may pass through strangers: `v1.<issued>.<system>.<timeline>.<lsn>.<mac>`.
 *
 * Without a position (`*`) it says "something was written before this was issued". That is as good: whoever
 * receives it asks the primary for its position, which includes every write acknowledged by then. So a
 * bookmark can always be issued at once, without a question to any server.
 */
export interface Bookmark {
  /** Milliseconds since 1970, by the issuer's clock. */
  readonly issued: number
  readonly position: Position | undefined
}

export function encodeBookmark(bookmark: Bookmark, secret: string): string {
  const { issued, position } = bookmark
  const seen = position
    ? `${position.system}.${position.timeline}.${formatLsn(position.lsn).replace('/', '-')}`
    : '*'
  const body = `v1.${issued.toString(36)}.${seen}`
  return `${body}.${mac(body, secret)}`
}

/** `undefined` for anything not issued with this secret or older than `ttl` milliseconds. */
export function decodeBookmark(
  text: string,
  secret: string,
  ttl: number,
  now: number = Date.now(),
): Bookmark | undefined {
  if (text.length > 200) return undefined
  const at = text.lastIndexOf('.')
  const body = text.slice(0, at)
  const given = Buffer.from(text.slice(at + 1))
  const expected = Buffer.from(mac(body, secret))
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  const [version, issuedText = '', system = '', timelineText = '', lsnText = ''] = body.split('.')
  const issued = Number.parseInt(issuedText, 36)
  // Clocks of two nodes differ; a bookmark of the near future counts.
  if (version !== 'v1' || !(issued > now - ttl) || issued > now + ttl) return undefined
  if (system === '*') return { issued, position: undefined }
  const lsn = parseLsn(lsnText.replace('-', '/'))
  const timeline = Number(timelineText)
  if (lsn === undefined || !Number.isSafeInteger(timeline)) return undefined
  return { issued, position: { system, timeline, lsn } }
}

/**
 * Which of two bookmarks of this process includes the other: of those with the same `field` the one whose `rank` is
 * greater, compared as text. One of an earlier timeline or system says nothing against a later one.
 */
export function rankBookmark(text: string): { readonly field: string; readonly rank: string } {
  const [, issued = '', system = '', timeline = '', lsn = ''] = text.split('.')
  if (system === '*') return { field: '*', rank: issued.padStart(12, '0') }
  const [high = '', low = ''] = lsn.split('-')
  return {
    field: system,
    rank: `${timeline.padStart(10, '0')}${high.padStart(8, '0')}${low.padStart(8, '0')}`,
  }
}

function mac(body: string, secret: string): string {
  return createHmac('sha256', secret).update(body).digest('base64url').slice(0, 22)
}
