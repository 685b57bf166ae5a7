import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { StorageError, type StorageErrorCode } from './errors.ts'
import { checkKey, checkOwnKey } from './key.ts'
import type { LocalProvider } from './local-provider.ts'
import type { Presigner } from './presign.ts'
import { serveObject } from './serve-object.ts'

const STATUSES: Partial<Record<StorageErrorCode, number>> = {
  STORAGE_ERR_KEY: 400,
  STORAGE_ERR_CHECKSUM: 400,
  STORAGE_ERR_SIZE: 400,
  STORAGE_ERR_DENIED: 403,
  STORAGE_ERR_NOT_FOUND: 404,
  STORAGE_ERR_PRECONDITION: 412,
  STORAGE_ERR_RANGE: 416,
}

interface Endpoint {
  readonly url: URL
  readonly presigner: Presigner
  readonly provider: LocalProvider
}

/**
 * The byte server behind the signed URLs of `disk` and `memory`. It takes nothing but what was signed: it signs
 * the request again and compares. Any origin may ask: a signature is the permission, no cookie is read.
 */
export async function handleLocal(
  endpoint: Endpoint,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-expose-headers', 'ETag, Content-Range, Content-Disposition')
  if (request.method === 'OPTIONS') {
    response.setHeader('access-control-allow-methods', 'GET, HEAD, PUT')
    response.setHeader(
      'access-control-allow-headers',
      'content-type, content-md5, if-none-match, range, x-amz-checksum-sha256',
    )
    response.setHeader('access-control-max-age', '3600')
    response.writeHead(204).end()
    return
  }
  try {
    await answer(endpoint, request, response)
  } catch (error) {
    const status = (error instanceof StorageError && STATUSES[error.code]) || 500
    if (response.headersSent) {
      response.destroy()
      return
    }
    for (const name of response.getHeaderNames()) if (name.startsWith('content-')) response.removeHeader(name)
    response.writeHead(status, { 'content-type': 'text/plain' })
    // A sender that is cut off in mid-body never reads why.
    request.resume()
    response.end(error instanceof StorageError ? error.code : 'STORAGE_ERR_UNAVAILABLE')
  }
}

async function answer(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { provider } = endpoint
  const { key, query } = anybody(endpoint, request) ?? verified(endpoint, request)
  if (request.method === 'PUT') {
    const headers = request.headers
    const expected = {
      size: Number(headers['content-length']),
      sha256: one(headers['x-amz-checksum-sha256']),
      md5: one(headers['content-md5']),
    }
    const uploadId = query.get('uploadId')
    const { etag } =
      uploadId === null
        ? await provider.write(
            key,
            request,
            { contentType: headers['content-type'] ?? 'application/octet-stream' },
            headers['if-none-match'] === '*' ? { ifNoneMatch: '*' } : {},
            expected,
          )
        : await provider.writePart(key, uploadId, Number(query.get('partNumber')), request, expected)
    response.writeHead(200, { etag: `"${etag}"` }).end()
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') throw denied()
  const object = {
    head: () => provider.head(key),
    get: (range: Parameters<typeof provider.get>[1]['range'], ifMatch: string | undefined) =>
      provider.get(key, { range, ifMatch }),
  }
  await serveObject(request, response, object, {
    contentType: query.get('response-content-type') ?? undefined,
    contentDisposition: query.get('response-content-disposition') ?? undefined,
  })
}

/** The key of a reader without a signature, where everybody may read. */
function anybody({ url, provider }: Endpoint, request: IncomingMessage) {
  const { method } = request
  const [path = '', search = ''] = addressOf(request).split('?', 2)
  const query = new URLSearchParams(search)
  if (!provider.capabilities.publicUrls || query.has('X-Amz-Signature')) return undefined
  if (method !== 'GET' && method !== 'HEAD') return undefined
  // What was sent along overrides nothing of what is stored.
  return { key: checkOwnKey(keyOf(url, path)), query: new URLSearchParams() }
}

/** The key that the URL is for, when we signed exactly this request and its time is not over. */
function verified({ url, presigner }: Endpoint, request: IncomingMessage) {
  const given = addressOf(request)
  const [path = '', search = ''] = given.split('?', 2)
  const query = new URLSearchParams(search)
  const date = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get('X-Amz-Date') ?? '')
  const expires = Number(query.get('X-Amz-Expires'))
  const method = request.method
  if (!date || !(method === 'PUT' || method === 'GET' || method === 'HEAD')) throw denied()
  const [, year, month, day, hour, minute, second] = date.map(Number)
  const signedAt = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second)
  const key = checkKey(keyOf(url, path))
  const names = (query.get('X-Amz-SignedHeaders') ?? '')
    .split(';')
    .filter((name) => name !== 'host' && name !== '')
  const headers = Object.fromEntries(names.map((name) => [name, one(request.headers[name]) ?? '']))
  const others = Object.fromEntries([...query].filter(([name]) => !name.startsWith('X-Amz-')))
  // A link that reads may also be asked about.
  const signedFor = method === 'HEAD' ? 'GET' : method
  const expected = presigner.sign({ method: signedFor, key, expires, headers, query: others }, signedAt)
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const genuine = timingSafeEqual(hash(expected), hash(url.origin + given))
  const age = Date.now() - signedAt
  if (!genuine || age > expires * 1_000 || age < -900_000) throw denied()
  return { key, query }
}

function addressOf(request: IncomingMessage): string {
  // Express takes the path that a handler is mounted at out of `url`.
  return (request as { readonly originalUrl?: string }).originalUrl ?? request.url ?? ''
}

function keyOf(url: URL, path: string): string {
  const base = `${url.pathname.replace(/\/$/, '')}/`
  if (!path.startsWith(base)) throw denied()
  return decoded(path.slice(base.length))
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw denied()
  }
}

function one(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',')
}

function denied(): StorageError {
  return new StorageError('STORAGE_ERR_DENIED', 'the URL was not signed for this, or is over')
}
