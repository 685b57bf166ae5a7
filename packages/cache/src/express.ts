import { createHash } from 'node:crypto'
import { OptionReader } from '@cays/core/options'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Cache } from './cache.ts'
import { CacheUsageError } from './errors.ts'
import { type Captured, capture, type StoredResponse } from './http-capture.ts'
import {
  bypassOf,
  directivesOf,
  namesOf,
  type RequestRules,
  storingOf,
  surrogateTags,
  targetOf,
} from './http-rules.ts'
import { DEFAULT_FRESHNESS, type FreshnessOptions, readFreshness } from './options.ts'

/** What is kept, by what it is told apart, and for how long. */
export interface HttpCacheOptions extends Pick<FreshnessOptions, 'ttl' | 'staleWhileRevalidate' | 'timeout'> {
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
/** How long a request waits for another one's fresh answer when there is an older one. */
const SOFT_TIMEOUT = 25
/** Fields that belong to one connection or one delivery. */
const NOT_KEPT = ['connection', 'keep-alive', 'transfer-encoding', 'trailer', 'upgrade', 'date', 'age']

/**
 * Middleware for Express 4 and 5 that keeps answers to GET in `cache` and serves them to all, by RFC 9111.
 *
 * - One request per target runs the handlers in the whole fleet; the others wait for its answer, or, within
 *   `staleWhileRevalidate`, get the older one after 25 ms at most, also when it fails.
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
    'timeout',
    'vary',
    'query',
    'cookies',
    'maxBodyBytes',
    'tags',
  ])
  const { ttl, staleWhileRevalidate, timeout, tags } = options
  const fallback = ttl === undefined ? undefined : readFreshness({ ttl }, DEFAULT_FRESHNESS, 'httpCache').ttl
  const rules: RequestRules = {
    vary: (options.vary ?? []).flatMap(namesOf),
    query: options.query,
    cookies: read.oneOf('cookies', options.cookies, 'bypass', ['bypass', 'ignore']),
  }
  const limit = read.integer('maxBodyBytes', options.maxBodyBytes, 512 * 1_024, { min: 1, max: 2 ** 26 })
  const policy = {
    // The request that runs the handlers is answered by them: only the others can have the older answer.
    grace: staleWhileRevalidate,
    softTimeout: SOFT_TIMEOUT,
    timeout,
    errorBackoff: 0,
    jitter: 0,
  }

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
      const kept = await cache.get<Kept>(key)
      if (kept && 'response' in kept && servable(kept.response))
        return serve(request, response, cache.name, kept.response)
      mark(response, cache.name, 'fwd=uri-miss')
      return next()
    }
    let mine = false
    try {
      const kept = await cache.getOrSet<Kept>(
        key,
        async (context) => {
          if (response.destroyed || response.headersSent) throw new Error('the request is over')
          mine = true
          const { whole, storing, surrogate } = await run(response, next)
          context.tag(resource)
          if ('refused' in storing || !whole.body) {
            context.ttl(PASS_TTL)
            return { pass: 'refused' in storing ? storing.refused : 'size' }
          }
          context.tag(...surrogateTags(surrogate), ...(tags?.(request, response) ?? []))
          context.ttl(storing.ttl)
          return { response: storedOf(whole, whole.body, storing.ttl) }
        },
        policy,
      )
      if (mine) return
      if ('response' in kept && servable(kept.response)) {
        return serve(request, response, cache.name, kept.response)
      }
      mark(response, cache.name, `fwd=bypass; detail=${'pass' in kept ? kept.pass : 'must-revalidate'}`)
    } catch {
      // The handlers' own failures went out as the answer of the request that ran them; the others try themselves.
      if (mine) return
      mark(response, cache.name, 'fwd=miss; detail=failed')
    }
    next()
  }

  /** Runs the handlers with this request's answer watched. Rejects for what nobody else should get. */
  const run = async (response: Response, next: NextFunction): Promise<Run> => {
    let storing: Storing = { refused: 'head' }
    let surrogate: unknown
    const watched = capture(response, limit, () => {
      surrogate = response.getHeader('surrogate-key')
      response.removeHeader('surrogate-key')
      storing = storingOf(response.statusCode, response.getHeaders(), rules.vary, fallback)
      const detail = 'refused' in storing ? `detail=${storing.refused}` : 'stored'
      mark(response, cache.name, `fwd=uri-miss; ${detail}`)
    })
    next()
    const whole = await watched
    if (whole.status >= 500) throw new Error('the handler answered with a server error')
    return { whole, storing, surrogate }
  }

  return (request, response, next) => {
    handle(request, response, next).catch(next)
  }
}

type Storing = ReturnType<typeof storingOf>
type Run = { readonly whole: Captured; readonly storing: Storing; readonly surrogate: unknown }

function storedOf({ status, headers }: Captured, body: Buffer, ttl: number): StoredResponse {
  const kept: Record<string, number | string | string[] | undefined> = { ...headers }
  for (const name of [...NOT_KEPT, ...namesOf(headers.connection)]) delete kept[name]
  delete kept['cache-status']
  kept.etag ??= `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
  return { status, headers: kept, body, ttl, at: Date.now() }
}

/** An answer past its time is for those it does not forbid. */
function servable({ headers, ttl, at }: StoredResponse): boolean {
  if (Date.now() < at + ttl) return true
  const control = directivesOf(headers['cache-control'])
  return !control.has('must-revalidate') && !control.has('proxy-revalidate') && !control.has('s-maxage')
}

function serve(request: Request, response: Response, name: string, stored: StoredResponse): void {
  // The client may be gone, or something else answered.
  if (response.headersSent || response.destroyed) return
  for (const [field, value] of Object.entries(stored.headers)) {
    if (value !== undefined) response.setHeader(field, value)
  }
  response.setHeader('Age', String(Math.max(0, Math.floor((Date.now() - stored.at) / 1_000))))
  mark(response, name, 'hit')
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
