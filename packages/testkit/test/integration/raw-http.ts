import { createHash, createHmac } from 'node:crypto'
import { connect } from 'node:net'
import type { R2Server } from '@cays/testkit'

export interface RawReply {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Sends bytes as they are and resolves with what came back until the server closed, or until `patience` ms are over. */
export function sendRaw(
  port: number,
  bytes: string | Buffer | readonly (string | Buffer)[],
  patience = 3000,
): Promise<string> {
  return new Promise((resolve) => {
    let reply = ''
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => socket.destroy(), patience)
    socket.on('data', (chunk) => {
      reply += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(reply)
    })
    for (const part of [bytes].flat()) socket.write(part as Buffer)
  })
}

/** The first answer in what `sendRaw` returned; status 0 when there is none. */
export function parseReply(text: string): RawReply {
  const end = text.indexOf('\r\n\r\n')
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
  return {
    status: Number(status ?? 0),
    head: text.slice(0, Math.max(end, 0)),
    body: end < 0 ? '' : text.slice(end + 4),
  }
}

interface SignOptions {
  readonly method?: string
  /** Exactly what goes on the request line, path and query. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly payloadHash?: string
  readonly body?: string
  readonly accessKeyId?: string
  readonly secret?: string
  readonly token?: string
}

/** A signed request as bytes, made without any client that could tidy up its target or its headers. */
export function signedRequest(r2: R2Server, options: SignOptions): string {
  const { method = 'GET', target, body = '' } = options
  const { accessKeyId = r2.accessKeyId, secret = r2.secretAccessKey } = options
  const payloadHash = options.payloadHash ?? createHash('sha256').update(body).digest('hex')
  const hasLength =
    !['GET', 'HEAD', 'DELETE'].includes(method) && options.headers?.['transfer-encoding'] === undefined
  const amzDate = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '')
  const headers: Record<string, string> = {
    host: `127.0.0.1:${r2.port}`,
    'x-amz-content-sha256': payloadHash,
    'x-amz-date': amzDate,
    ...(options.token === undefined ? {} : { 'x-amz-security-token': options.token }),
    ...(hasLength ? { 'content-length': String(Buffer.byteLength(body)) } : {}),
    ...options.headers,
  }
  const names = Object.keys(headers).sort()
  const [path = '', query = ''] = target.split('?')
  const canonicalQuery = query
    .split('&')
    .filter(Boolean)
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort()
    .join('&')
  const canonical = [
    method,
    path,
    canonicalQuery,
    names.map((name) => `${name}:${headers[name]}\n`).join(''),
    names.join(';'),
    payloadHash,
  ].join('\n')
  const scope = `${amzDate.slice(0, 8)}/auto/s3/aws4_request`
  const hash = createHash('sha256').update(canonical).digest('hex')
  let key: Buffer = Buffer.from(`AWS4${secret}`)
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${hash}`)
    .digest('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  const lines = Object.entries({ ...headers, authorization }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

/** Signs, sends, and reads one answer. */
export async function exchange(r2: R2Server, options: SignOptions): Promise<RawReply> {
  const closing = { ...options, headers: { ...options.headers, connection: 'close' } }
  return parseReply(await sendRaw(r2.port, signedRequest(r2, closing)))
}

/** The S3 code in an answer. */
export function codeOf({ body }: RawReply): string | undefined {
  return /<Code>(\w+)</.exec(body)?.[1]
}
