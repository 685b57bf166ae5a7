import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'

/** Bounds of what a stranger can put into keys. */
const MAX_URL = 4_096
const MAX_FIELD = 256
const MAX_TAGS = 64
const MAX_TAG = 200

/** What a cached answer must have for its status to be kept. */
const KEPT_STATUSES: ReadonlySet<number> = new Set([200, 301, 308, 404, 410])

/** One `Cache-Control` value as directives, names in lower case. */
export function directivesOf(field: unknown): ReadonlyMap<string, string> {
  const directives = new Map<string, string>()
  const text = Array.isArray(field) ? field.join(',') : typeof field === 'string' ? field : ''
  for (const [, name = '', quoted, bare] of text.matchAll(
    /([\w!#$%&'*+.^`|~-]+)(?:=(?:"([^"]*)"|([^\s,;]*)))?/g,
  )) {
    directives.set(name.toLowerCase(), quoted ?? bare ?? '')
  }
  return directives
}

/** Field names of a `Vary` or such, in lower case. */
export function namesOf(field: unknown): readonly string[] {
  const text = Array.isArray(field) ? field.join(',') : String(field ?? '')
  return text
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
}

export interface RequestRules {
  readonly vary: readonly string[]
  /** Parameters that matter; all when `undefined`. */
  readonly query: readonly string[] | undefined
  readonly cookies: 'bypass' | 'ignore'
}

/** Why a request goes past the cache, or `undefined`. */
export function bypassOf(request: IncomingMessage, rules: RequestRules): string | undefined {
  const { method, headers } = request
  if (method !== 'GET' && method !== 'HEAD') return 'method'
  if (headers.authorization !== undefined) return 'authorization'
  if (headers.cookie !== undefined && rules.cookies === 'bypass') return 'cookie'
  if (headers.range !== undefined) return 'range'
  if (headers.upgrade !== undefined) return 'upgrade'
  if (directivesOf(headers['cache-control']).has('no-store')) return 'no-store'
  return undefined
}

/** What a stored answer is found by; `undefined` when the request has parts too long to be keys. */
export function targetOf(
  request: IncomingMessage,
  url: string,
  rules: RequestRules,
): { readonly key: string; readonly resource: string } | undefined {
  const host = (request.headers.host ?? '').toLowerCase()
  if (url.length > MAX_URL || host.length > MAX_FIELD) return undefined
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1))
  if (rules.query)
    for (const name of new Set(query.keys())) if (!rules.query.includes(name)) query.delete(name)
  query.sort()
  const variant = rules.vary.map((name) => String(request.headers[name] ?? '').trim())
  if (variant.some((value) => value.length > MAX_FIELD)) return undefined
  const resource = JSON.stringify([host, path])
  return {
    key: `http:${JSON.stringify([host, path, query.toString(), variant])}`,
    resource: `http:${resource}`,
  }
}

/** How long an answer may be served, in milliseconds: fresh, and after that for one reason or the other. */
export interface Lifetimes {
  readonly ttl: number
  readonly whileRevalidate: number
  readonly ifError: number
}

/** Whether an answer may be kept for others, and for how long; or why not. */
export function storingOf(
  status: number,
  headers: Readonly<OutgoingHttpHeaders>,
  vary: readonly string[],
  fallback: Omit<Lifetimes, 'ttl'> & { readonly ttl: number | undefined },
): Lifetimes | { readonly refused: string } {
  if (!KEPT_STATUSES.has(status)) return { refused: 'status' }
  if (headers['set-cookie'] !== undefined) return { refused: 'set-cookie' }
  if (headers['content-range'] !== undefined) return { refused: 'range' }
  if (namesOf(headers.vary).some((name) => !vary.includes(name))) return { refused: 'vary' }
  const control = directivesOf(headers['cache-control'])
  for (const word of ['no-store', 'private', 'no-cache']) if (control.has(word)) return { refused: word }
  const seconds = control.get('s-maxage') ?? control.get('max-age')
  const ttl = seconds === undefined ? (expiryOf(headers) ?? fallback.ttl) : secondsOf(seconds)
  if (ttl === undefined || !(ttl > 0)) return { refused: 'not-fresh' }
  if (control.has('must-revalidate') || control.has('proxy-revalidate')) {
    return { ttl, whileRevalidate: 0, ifError: 0 }
  }
  // `s-maxage` forbids what the answer itself does not allow.
  const strict = control.has('s-maxage')
  const allowed = (name: string, otherwise: number) => {
    const own = control.get(name)
    return own === undefined ? (strict ? 0 : otherwise) : secondsOf(own)
  }
  const whileRevalidate = allowed('stale-while-revalidate', fallback.whileRevalidate)
  const ifError = Math.max(whileRevalidate, allowed('stale-if-error', fallback.ifError))
  return { ttl, whileRevalidate, ifError }
}

/** Tags of a `Surrogate-Key`; what is more or longer than tags are is dropped. */
export function surrogateTags(field: unknown): readonly string[] {
  const text = Array.isArray(field) ? field.join(' ') : String(field ?? '')
  return text
    .split(/\s+/)
    .filter((tag) => tag !== '' && tag.length <= MAX_TAG)
    .slice(0, MAX_TAGS)
}

function secondsOf(text: string): number {
  // RFC 9111 §4.2.1: freshness that cannot be read is none.
  return /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : 0
}

function expiryOf(headers: Readonly<OutgoingHttpHeaders>): number | undefined {
  if (headers.expires === undefined) return undefined
  const date = headers.date === undefined ? Date.now() : Date.parse(String(headers.date))
  const left = Date.parse(String(headers.expires)) - date
  return Number.isFinite(left) ? left : 0
}
