import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { attachment } from './content-disposition.ts'
import { StorageError } from './errors.ts'
import type { ByteRange, ObjectHead } from './provider.ts'

/** An object that can be looked at and read. */
export interface Servable {
  head(): Promise<ObjectHead>
  get(range: ByteRange | undefined, ifMatch: string | undefined): Promise<Served>
}

interface Served {
  readonly head: ObjectHead
  readonly body: AsyncIterable<Uint8Array>
}

/** How the object is shown to a browser. */
export interface ServeOptions {
  /** Name to save it under; makes the browser save instead of show. */
  readonly download?: string | undefined
  readonly contentType?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly cacheControl?: string | undefined
}

// A browser shows these without running anything of theirs; all others it is told to save.
const HARMLESS =
  /^(?:image\/(?:png|jpeg|gif|webp|avif)|(?:audio|video)\/[\w.+-]+|text\/plain|application\/pdf)$/

/**
 * Answers a GET or HEAD with the object, or the range that was asked for, at the reader's pace. Types that could
 * run scripts are given as a download in a sandbox; no type is guessed. When the source fails in mid-body the
 * connection is broken: the reader sees an error, never a short object.
 */
export async function serveObject(
  request: IncomingMessage,
  response: ServerResponse,
  object: Servable,
  options: ServeOptions = {},
): Promise<void> {
  const wanted = request.headers.range
  const headOnly = request.method === 'HEAD'
  // Whether a range fits is known only with the size; without one, one request gives all.
  const first: { readonly head: ObjectHead; readonly body?: AsyncIterable<Uint8Array> } =
    wanted !== undefined || headOnly ? { head: await object.head() } : await object.get(undefined, undefined)
  const { head } = first
  setHeaders(response, head, options)
  if (matches(request.headers['if-none-match'], head.etag)) {
    await drop(first.body)
    response.writeHead(304).end()
    return
  }
  const range = rangeOf(request, head)
  if (range === 'outside') {
    response.writeHead(416, { 'content-range': `bytes */${head.size}` }).end()
    return
  }
  const length = range ? range.end - range.start + 1 : head.size
  response.setHeader('content-length', length)
  if (range) response.setHeader('content-range', `bytes ${range.start}-${range.end}/${head.size}`)
  response.statusCode = range ? 206 : 200
  if (headOnly) {
    response.end()
    return
  }
  const body = first.body ?? (await object.get(range, head.etag)).body
  try {
    await pipeline(Readable.from(body, { objectMode: false, highWaterMark: 2 ** 16 }), response)
  } catch (error) {
    // A reader that went away is nobody's failure.
    if (!request.destroyed || error instanceof StorageError) throw error
  }
}

function setHeaders(response: ServerResponse, head: ObjectHead, options: ServeOptions): void {
  const type = options.contentType ?? head.contentType
  const harmless = HARMLESS.test(type.split(';')[0]?.trim().toLowerCase() ?? '')
  const stored = options.contentDisposition ?? head.contentDisposition
  const disposition =
    options.download === undefined
      ? (stored ?? (harmless ? undefined : attachment(head.key.split('/').at(-1) ?? '')))
      : attachment(options.download)
  response.setHeader('accept-ranges', 'bytes')
  response.setHeader('etag', `"${head.etag}"`)
  response.setHeader('last-modified', head.lastModified.toUTCString())
  response.setHeader('content-type', type)
  response.setHeader('cache-control', options.cacheControl ?? head.cacheControl ?? 'private, no-cache')
  response.setHeader('x-content-type-options', 'nosniff')
  // The viewer of PDFs does not work in a sandbox, and has one of its own.
  if (!type.startsWith('application/pdf')) {
    response.setHeader('content-security-policy', "default-src 'none'; sandbox")
  }
  if (disposition === undefined) return
  response.setHeader(
    'content-disposition',
    harmless ? disposition : disposition.replace(/^\s*inline/i, 'attachment'),
  )
}

function rangeOf(
  request: IncomingMessage,
  head: ObjectHead,
): { readonly start: number; readonly end: number } | 'outside' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  // More than one range, or none that we know: the whole, as RFC 9110 allows.
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const condition = request.headers['if-range']
  if (typeof condition === 'string' && condition !== `"${head.etag}"`) return undefined
  const start = first === '' ? Math.max(0, head.size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? head.size - 1 : Math.min(Number(last), head.size - 1)
  if (start >= head.size || (first === '' && Number(last) === 0)) return 'outside'
  return end < start ? undefined : { start, end }
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === `"${etag}"`)
}

async function drop(body: AsyncIterable<Uint8Array> | undefined): Promise<void> {
  await body?.[Symbol.asyncIterator]().return?.()
}
