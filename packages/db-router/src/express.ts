import type { Duration } from '@cays/core/duration'
import type { Router } from './router.ts'
import type { SessionHandle } from './sessions.ts'
import { optionReader } from './settings.ts'

/** What carries the bookmark from one request to the next. */
export interface MiddlewareOptions {
  /** Name of the cookie that carries it; `false` for none. @default 'cays_bookmark' */
  readonly cookie?: string | false
  /**
   * Name of a header that carries it, in requests and in responses to those that wrote: for clients without cookies, and
   * from service to service. Such a client sends back the last one it was given. For browsers on another origin expose
   * it by CORS. @default none
   */
  readonly header?: string
  /** Send the cookie over TLS only. @default true when NODE_ENV is 'production' */
  readonly secure?: boolean
  readonly sameSite?: 'lax' | 'strict' | 'none'
  readonly path?: string
  readonly domain?: string
  /** How long the browser keeps it; no use beyond the bookmark's own `ttl`. @default '30s' */
  readonly maxAge?: Duration
}

/** What the middleware uses of a request; Node's and Express's fit. */
export interface MiddlewareRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** What the middleware uses of a response; Node's and Express's fit. */
export interface MiddlewareResponse {
  readonly headersSent: boolean
  /** Adds a header beside those of the same name. */
  appendHeader(name: string, value: string): unknown
  /** Called, by Node too, right before the headers are sent. */
  writeHead: (...parameters: never[]) => unknown
}

/** Fits Express, Connect and a `node:http` handler. */
export type Middleware = (
  request: MiddlewareRequest,
  response: MiddlewareResponse,
  next: (error?: unknown) => void,
) => void

const LONGEST = 200

/**
 * Makes each request a session and carries what it wrote to the same client's next request, on whichever node that
 * lands, in a signed cookie or header. It is set only by requests that wrote.
 */
export function sessionMiddleware(router: Router, options: MiddlewareOptions = {}): Middleware {
  const read = optionReader('middleware')
  read.known(options, ['cookie', 'header', 'secure', 'sameSite', 'path', 'domain', 'maxAge'])
  const cookie =
    options.cookie === false
      ? undefined
      : read.string('cookie', options.cookie, 'cays_bookmark', /^[\w-]{1,60}$/)
  const header =
    options.header === undefined
      ? undefined
      : read.string('header', options.header, '', /^[\w-]{1,60}$/).toLowerCase()
  if (cookie === undefined && header === undefined) read.fail('cookie: false needs a header instead')
  const attributes = [
    `Max-Age=${Math.ceil(read.duration('maxAge', options.maxAge, 30_000) / 1_000)}`,
    `Path=${read.string('path', options.path, '/', /^\/[^;\s]*$/)}`,
    ...(options.domain === undefined
      ? []
      : [`Domain=${read.string('domain', options.domain, '', /^[\w.-]+$/)}`]),
    'HttpOnly',
    `SameSite=${read.oneOf('sameSite', options.sameSite, 'lax', ['lax', 'strict', 'none'])}`,
    ...(read.boolean('secure', options.secure, process.env.NODE_ENV === 'production') ? ['Secure'] : []),
  ].join('; ')
  // A missing secret is a mistake to show at start-up, not at the first write.
  router.enter({}, (session) => void session.bookmark())
  return (request, response, next) => {
    const from = headerOf(request, header) ?? cookieOf(request.headers.cookie, cookie)
    router.enter(from === undefined ? {} : { from }, (session) => {
      setOnHead(response, session, (bookmark) => {
        if (cookie !== undefined) response.appendHeader('Set-Cookie', `${cookie}=${bookmark}; ${attributes}`)
        if (header !== undefined) response.appendHeader(header, bookmark)
      })
      next()
    })
  }
}

/** Headers can be added until the moment they are written, and only then is it known what was written. */
function setOnHead(
  response: MiddlewareResponse,
  session: SessionHandle,
  carry: (bookmark: string) => void,
): void {
  const writeHead = response.writeHead as (...parameters: unknown[]) => unknown
  response.writeHead = function (this: unknown, ...parameters: unknown[]) {
    if (session.wrote && !response.headersSent) carry(session.bookmark())
    return writeHead.apply(response, parameters)
  } as MiddlewareResponse['writeHead']
}

function headerOf(request: MiddlewareRequest, name: string | undefined): string | undefined {
  const value = name === undefined ? undefined : request.headers[name]
  return typeof value === 'string' && value.length > 0 && value.length <= LONGEST ? value : undefined
}

function cookieOf(
  header: string | readonly string[] | undefined,
  name: string | undefined,
): string | undefined {
  if (typeof header !== 'string' || name === undefined) return undefined
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) {
      const value = part.slice(at + 1).trim()
      return value.length > 0 && value.length <= LONGEST ? value : undefined
    }
  }
  return undefined
}
