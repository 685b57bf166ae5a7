import { createHash } from 'node:crypto'
import type { Duration } from '@cays/core/duration'
import { OptionReader } from '@cays/core/options'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Cache } from './cache.ts'
import { CacheUsageError } from './errors.ts'
import { type Captured, capture, type StoredResponse } from './http-capture.ts'
import {
  bypassOf,
  type Lifetimes,
  namesOf,
  type RequestRules,
  storingOf,
  surrogateTags,
  targetOf,
} from './http-rules.ts'
import { type FreshnessOptions, MAX_TTL } from './options.ts'
import type { Loader } from './plan.ts'

/** What is kept, by what it is told apart, and for how long. */
export interface HttpCacheOptions extends Pick<FreshnessOptions, 'timeout'> {
  /** How long an answer is fresh that does not say so itself. @default such answers are not kept */
  readonly ttl?: Duration | undefined
  /** For how long past its time an answer that does not say so itself is served while a new one is made. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** The same, for when the new one is a server error. @default `staleWhileRevalidate` */
  readonly staleIfError?: Duration | undefined
  /** Request fields that answers differ by. An answer whose `Vary` names another one is not kept. @default [] */
  readonly vary?: readonly string[] | undefined
  /** Query parameters that answers differ by. @default all, in any order */
  readonly query?: readonly string[] | undefined
  /**
   * What a request with cookies gets. `'bypass'`: its answer may be personal, the cache is left out of it.
   * `'ignore'`: answers of these routes do not depend on cookies.
   * @default 'bypass'
   */
  readonly cookies?: 'bypass' | 'ignore' | undefined
  /** Largest body kept, in bytes; larger ones pass through. @default 512 KiB */
  readonly maxBodyBytes?: number | undefined
  /** Tags of an answer, besides those in its `Surrogate-Key` field. */
  readonly tags?: ((request: Request, response: Response) => readonly string[]) | undefined
}

/** A stored answer, or the note that this target's answers are not to be kept. */
type Kept = { readonly response: StoredResponse } | { readonly pass: string }

/** How long a target whose answer must not be kept goes past the cache unasked. */
const PASS_TTL = 5_000
/** How long a request waits for another one's fresh answer when it may have an older one. */
const SOFT_TIMEOUT = 25
/** Fields that belong to one connection or one delivery. */
const NOT_KEPT = ['connection', 'keep-alive', 'transfer-encoding', 'trailer', 'upgrade', 'date', 'age']

/**
 * Middleware for Express 4 and 5 that keeps answers to GET in `cache` and serves them to all, by RFC 9111.
 *
 * - One request per target runs the handlers in the whole fleet; the others wait for its answer, or, within
 *   `stale-while-revalidate`, get the older one after 25 ms at most. When the handlers answer with a server error
 *   all of them, the one that ran the handlers included, get the older answer within `stale-if-error` instead.
 * - Kept are answers 200, 301, 308, 404 and 410 that say how long they are fresh (`s-maxage`, `max-age`,
 *   `Expires`), or for `ttl` if that is given. Never: `private`, `no-store`, `no-cache`, `Set-Cookie`, ranges,
 *   a `Vary` on undeclared fields, and anything asked for with `Authorization`, or cookies unless told so.
 * - `Surrogate-Key` names tags for `cache.invalidateTags`, and goes no further. A successful POST, PUT, PATCH or
 *   DELETE that passes here invalidates the answers of its own path.
 * - Every answer says in `Cache-Status` (RFC 9211) where it came from.
 *
 * A request's own `no-cache` is not obeyed: strangers could make every request a load.
 */
export function httpCache(cache: Cache, options: HttpCacheOptions = {}): RequestHandler {
  const read = new OptionReader('httpCache', (message) => new CacheUsageError('CACHE_ERR_OPTION', message))
  read.known(options, [
    'ttl',
    'staleWhileRevalidate',
    'staleIfError',
    'timeout',
    'vary',
    'query',
    'cookies',
    'maxBodyBytes',
    'tags',
  ])
  const { timeout, tags } = options
  const range = { max: MAX_TTL }
  const ttl = read.duration('ttl', options.ttl, 0, { min: options.ttl === undefined ? 0 : 1, max: MAX_TTL })
  const whileRevalidate = read.duration('staleWhileRevalidate', options.staleWhileRevalidate, 0, range)
  const ifError = read.duration('staleIfError', options.staleIfError, whileRevalidate, range)
  const fallback = { ttl: options.ttl === undefined ? undefined : ttl, whileRevalidate, ifError }
  const rules: RequestRules = {
    vary: (options.vary ?? []).flatMap(namesOf),
    query: options.query,
    cookies: read.oneOf('cookies', options.cookies, 'bypass', ['bypass', 'ignore']),
  }
  const limit = read.integer('maxBodyBytes', options.maxBodyBytes, 512 * 1_024, { min: 1, max: 2 ** 26 })
  // How long an answer may be served past its time it says itself (`context.grace`).
  const patient = { timeout, errorBackoff: 0, jitter: 0, staleWhileRevalidate: 0 }
  const policy = { ...patient, softTimeout: SOFT_TIMEOUT }

  const handle = async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const target = targetOf(request, request.originalUrl, rules)
    const bypass = target ? bypassOf(request, rules) : 'length'
    if (!target || bypass) {
      mark(response, cache.name, `fwd=bypass; detail=${bypass}`)
      if (target && bypass === 'method') invalidateAfter(response, cache, target.resource)
      return next()
    }
    const { key, resource } = target
    if (request.method === 'HEAD') {
      const stored = responseOf(await cache.get<Kept>(key))
      if (stored) return serve(request, response, cache.name, stored)
      mark(response, cache.name, 'fwd=uri-miss')
      return next()
    }
    let mine = false
    const load: Loader<Kept> = async (context) => {
      if (response.destroyed || response.headersSent) throw new Error('the request is over')
      mine = true
      const older = responseOf(context.previous?.value as Kept | undefined)
      const { whole, storing, surrogate } = await run(request, response, next, older)
      context.tag(resource)
      if ('refused' in storing || !whole.body) {
        context.ttl(PASS_TTL)
        context.grace(0)
        return { pass: 'refused' in storing ? storing.refused : 'size' }
      }
      context.tag(...surrogateTags(surrogate), ...(tags?.(request, response) ?? []))
      context.ttl(storing.ttl)
      context.grace(storing.ifError)
      return { response: storedOf(whole, whole.body, storing) }
    }
    try {
      let kept = await cache.getOrSet<Kept>(key, load, policy)
      // Too old for the impatient: wait for the new one, or for it to fail.
      if (!mine && staleBeyond(kept, 'whileRevalidate')) kept = await cache.getOrSet<Kept>(key, load, patient)
      if (mine) return
      const stored = responseOf(kept)
      if (stored && !staleBeyond(kept, 'ifError')) return serve(request, response, cache.name, stored)
      mark(response, cache.name, `fwd=bypass; detail=${'pass' in kept ? kept.pass : 'stale'}`)
    } catch {
      // The handlers' own failures went out as the answer of the request that ran them; the others try themselves.
      if (mine) return
      mark(response, cache.name, 'fwd=miss; detail=failed')
    }
    next()
  }

  /** Runs the handlers with this request's answer watched. Rejects for what nobody else should get. */
  const run = async (
    request: Request,
    response: Response,
    next: NextFunction,
    older: StoredResponse | undefined,
  ): Promise<Run> => {
    let storing: Storing = { refused: 'head' }
    let surrogate: unknown
    const watched = capture(response, limit, () => {
      if (response.statusCode >= 500 && older && pastOf(older) < older.ifError) return 'hold'
      surrogate = response.getHeader('surrogate-key')
      response.removeHeader('surrogate-key')
      storing = storingOf(response.statusCode, response.getHeaders(), rules.vary, fallback)
      const detail = 'refused' in storing ? `detail=${storing.refused}` : 'stored'
      mark(response, cache.name, `fwd=${older ? 'stale' : 'uri-miss'}; ${detail}`)
      return 'send'
    })
    next()
    const whole = await watched
    if (whole.held && older)
      serve(request, response, cache.name, older, `fwd=stale; fwd-status=${whole.status}`)
    if (whole.status >= 500) throw new Error('the handler answered with a server error')
    return { whole, storing, surrogate }
  }

  return (request, response, next) => {
    handle(request, response, next).catch(next)
  }
}

type Storing = ReturnType<typeof storingOf>
type Run = { readonly whole: Captured; readonly storing: Storing; readonly surrogate: unknown }

function responseOf(kept: Kept | undefined): StoredResponse | undefined {
  return kept && 'response' in kept ? kept.response : undefined
}

function storedOf({ status, headers }: Captured, body: Buffer, lifetimes: Lifetimes): StoredResponse {
  const kept: Record<string, number | string | string[] | undefined> = { ...headers }
  for (const name of [...NOT_KEPT, ...namesOf(headers.connection)]) delete kept[name]
  delete kept['cache-status']
  kept.etag ??= `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
  return { status, headers: kept, body, ...lifetimes, at: Date.now() }
}

/** Milliseconds past the answer's time; negative while it is fresh. */
function pastOf({ at, ttl }: StoredResponse): number {
  return Date.now() - at - ttl
}

function staleBeyond(kept: Kept, window: 'whileRevalidate' | 'ifError'): boolean {
  const stored = responseOf(kept)
  return stored !== undefined && pastOf(stored) >= stored[window]
}

function serve(
  request: Request,
  response: Response,
  name: string,
  stored: StoredResponse,
  how: string = pastOf(stored) < 0 ? 'hit' : `hit; ttl=${-Math.ceil(pastOf(stored) / 1_000)}`,
): void {
  // The client may be gone, or something else answered.
  if (response.headersSent || response.destroyed) return
  for (const [field, value] of Object.entries(stored.headers)) {
    if (value !== undefined) response.setHeader(field, value)
  }
  response.setHeader('Age', String(Math.max(0, Math.floor((Date.now() - stored.at) / 1_000))))
  mark(response, name, how)
  response.statusCode = stored.status
  if (request.fresh) {
    response.statusCode = 304
    for (const field of ['content-type', 'content-length', 'content-encoding']) response.removeHeader(field)
    response.end()
    return
  }
  response.setHeader('Content-Length', stored.body.length)
  response.end(request.method === 'HEAD' ? undefined : stored.body)
}

/** RFC 9111 §4.4: what a successful unsafe request changed is no longer good. */
function invalidateAfter(response: Response, cache: Cache, resource: string): void {
  response.once('finish', () => {
    if (response.statusCode < 400) cache.invalidateTags(resource).catch(() => {})
  })
}

function mark(response: Response, name: string, text: string): void {
  if (!response.headersSent) response.setHeader('Cache-Status', `${name}; ${text}`)
}
