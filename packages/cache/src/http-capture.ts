import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** A whole answer, as it is kept. */
export interface StoredResponse {
  readonly status: number
  readonly headers: Readonly<OutgoingHttpHeaders>
  readonly body: Buffer
  /** When it was made, ms since 1970, for `Age`. */
  readonly at: number
  /** How long it is fresh, in milliseconds. */
  readonly ttl: number
  /** For how long after that it may be served while a new one is made, in milliseconds. */
  readonly whileRevalidate: number
  /** For how long after that it may be served when the new one is a server error, in milliseconds. */
  readonly ifError: number
}

/** How an answer went out: whole, or too large to keep, or not at all. */
export interface Captured {
  /** `onHead` held it back: nothing of it was sent, and the response is as it was before. */
  readonly held: boolean
  readonly status: number
  readonly headers: Readonly<OutgoingHttpHeaders>
  /** `undefined` when it was larger than allowed. */
  readonly body: Buffer | undefined
}

type Chunk = string | Uint8Array
type Done = (error?: Error | null) => void

/**
 * Watches an answer on its way out, and calls `onHead` once before its head is sent, where fields may still be
 * changed, or all of it held back. Resolves at its end; rejects when its client leaves before.
 */
export function capture(
  response: ServerResponse,
  limit: number,
  onHead: () => 'send' | 'hold',
): Promise<Captured> {
  const { write, end, writeHead, statusCode, statusMessage } = response
  const before = { ...response.getHeaders() }
  let chunks: Buffer[] | undefined = []
  let size = 0
  let fate: 'send' | 'hold' | undefined
  const isHeld = () => {
    fate ??= onHead()
    return fate === 'hold'
  }
  const restore = () => {
    Object.assign(response, { write, end, writeHead, statusCode, statusMessage })
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    setAll(response, before)
  }
  let headers: OutgoingHttpHeaders = {}
  const take = (chunk: unknown, encoding: unknown) => {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk)
    size += bytes.length
    if (size > limit) chunks = undefined
    chunks?.push(bytes)
  }
  return new Promise<Captured>((resolve, reject) => {
    response.once('close', () => reject(new Error('the client left before the answer was whole')))
    response.writeHead = (status: number, ...rest: unknown[]) => {
      const fields = rest.find((one) => typeof one === 'object' && one !== null)
      if (fields) setAll(response, fields)
      response.statusCode = status
      if (typeof rest[0] === 'string') response.statusMessage = rest[0]
      if (isHeld()) return response
      headers = { ...response.getHeaders() }
      return writeHead.call(response, status)
    }
    response.write = (chunk: Chunk, encoding?: BufferEncoding | Done, done?: Done) => {
      if (isHeld()) {
        const written = typeof encoding === 'function' ? encoding : done
        if (written) process.nextTick(written)
        return true
      }
      take(chunk, encoding)
      return write.call(response, chunk, encoding as BufferEncoding, done)
    }
    response.end = ((chunk?: unknown, encoding?: unknown, done?: unknown) => {
      if (isHeld()) {
        const { statusCode: status } = response
        restore()
        const ended = [chunk, encoding, done].find((one) => typeof one === 'function')
        if (ended) response.once('finish', ended as () => void)
        resolve({ held: true, status, headers, body: undefined })
        return response
      }
      take(chunk, encoding)
      const ended = end.call(response, chunk, encoding as BufferEncoding, done as () => void)
      resolve({ held: false, status: response.statusCode, headers, body: chunks && Buffer.concat(chunks) })
      return ended
    }) as typeof response.end
  })
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
}

function setAll(response: ServerResponse, fields: object): void {
  if (Array.isArray(fields)) {
    for (let i = 0; i + 1 < fields.length; i += 2) response.setHeader(String(fields[i]), fields[i + 1])
    return
  }
  for (const [name, value] of Object.entries(fields as Record<string, OutgoingHttpHeader | undefined>)) {
    if (value !== undefined) response.setHeader(name, value)
  }
}
