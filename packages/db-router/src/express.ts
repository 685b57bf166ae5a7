import type { Duration } from '@cays/core/duration'
import { optionReader } from './options.ts'
import type { Router, SessionHandle } from './router.ts'

/** The cookie that carries the bookmark. */
export interface MiddlewareOptions {
  /** Name of the cookie that carries the bookmark. @default 'cays_bookmark' */
  readonly cookie?: string
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
  readonly headers: { readonly cookie?: string | undefined }
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
 * Makes each request a session and carries what it wrote to the same browser's next request, on whichever
 * node that lands, in a signed cookie. The cookie is set only by requests that wrote.
 */
export function sessionMiddleware(router: Router, options: MiddlewareOptions = {}): Middleware {
  const read = optionReader('middleware')
  read.known(options, ['cookie', 'secure', 'sameSite', 'path', 'domain', 'maxAge'])
  const name = read.string('cookie', options.cookie, 'cays_bookmark', /^[\w-]{1,60}$/)
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
    const from = cookieOf(request.headers.cookie, name)
    router.enter(from === undefined ? {} : { from }, (session) => {
      setOnHead(response, session, (bookmark) => `${name}=${bookmark}; ${attributes}`)
      next()
    })
  }
}

/** Headers can be added until the moment they are written, and only then is it known what was written. */
function setOnHead(
  response: MiddlewareResponse,
  session: SessionHandle,
  format: (bookmark: string) => string,
): void {
  const writeHead = response.writeHead as (...parameters: unknown[]) => unknown
  response.writeHead = function (this: unknown, ...parameters: unknown[]) {
    if (session.wrote && !response.headersSent) {
      response.appendHeader('Set-Cookie', format(session.bookmark()))
    }
    return writeHead.apply(response, parameters)
  } as MiddlewareResponse['writeHead']
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  if (!header) return undefined
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) {
      const value = part.slice(at + 1).trim()
      return value.length > 0 && value.length <= LONGEST ? value : undefined
    }
  }
  return undefined
}
