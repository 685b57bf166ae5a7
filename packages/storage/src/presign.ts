import { createHash, createHmac } from 'node:crypto'

/** Long-lived keys of one account, or temporary ones with their token. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export interface PresignRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  readonly key: string
  /** Seconds, 1 to 604,800. */
  readonly expires: number
  /** Headers that the sender must send exactly so; `host` is always signed. */
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly now: Date
}

/**
 * Signs URLs for one bucket by AWS Signature Version 4 in the query (AWS, "Authenticating Requests: Using
 * Query Parameters"), path style (an empty `bucket` means that the host names it), with the payload unsigned. Synchronous, without I/O; the signing key of a
 * day is derived once.
 */
export class Presigner {
  readonly #base: URL
  readonly #bucket: string
  readonly #region: string
  readonly #credentials: Credentials
  #day: string | undefined
  #dayKey: Buffer | undefined

  constructor(endpoint: string, bucket: string, region: string, credentials: Credentials) {
    this.#base = new URL(endpoint)
    this.#bucket = bucket
    this.#region = region
    this.#credentials = credentials
  }

  sign(request: PresignRequest): string {
    const { method, key, expires, headers = {}, query = {}, now } = request
    const time = `${now.toISOString().replace(/[-:]|\.\d{3}/g, '')}`
    const day = time.slice(0, 8)
    const scope = `${day}/${this.#region}/s3/aws4_request`
    const signed: [string, string][] = [
      ['host', this.#base.host],
      ...Object.entries(headers).map(([name, value]): [string, string] => [
        name.toLowerCase(),
        value.trim().replace(/ +/g, ' '),
      ]),
    ]
    signed.sort(([a], [b]) => (a < b ? -1 : 1))
    const names = signed.map(([name]) => name).join(';')
    const parameters: [string, string][] = [
      ...Object.entries(query),
      ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
      ['X-Amz-Credential', `${this.#credentials.accessKeyId}/${scope}`],
      ['X-Amz-Date', time],
      ['X-Amz-Expires', String(expires)],
      ['X-Amz-SignedHeaders', names],
    ]
    if (this.#credentials.sessionToken !== undefined) {
      parameters.push(['X-Amz-Security-Token', this.#credentials.sessionToken])
    }
    const canonicalQuery = parameters
      .map(([name, value]): [string, string] => [encode(name), encode(value)])
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${value}`)
      .join('&')
    const prefix = this.#base.pathname === '/' ? '' : this.#base.pathname.replace(/\/$/, '')
    const bucket = this.#bucket && `/${encode(this.#bucket)}`
    const path = `${prefix}${bucket}/${encodePath(key)}`
    const canonical = [
      method,
      path,
      canonicalQuery,
      ...signed.map(([name, value]) => `${name}:${value}`),
      '',
      names,
      'UNSIGNED-PAYLOAD',
    ].join('\n')
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${createHash('sha256').update(canonical).digest('hex')}`
    const signature = createHmac('sha256', this.#keyOf(day)).update(text).digest('hex')
    return `${this.#base.origin}${path}?${canonicalQuery}&X-Amz-Signature=${signature}`
  }

  #keyOf(day: string): Buffer {
    if (this.#day !== day || !this.#dayKey) {
      const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
      const region = hmac(hmac(`AWS4${this.#credentials.secretAccessKey}`, day), this.#region)
      this.#dayKey = hmac(hmac(region, 's3'), 'aws4_request')
      this.#day = day
    }
    return this.#dayKey
  }
}

/** The key as it stands in a URL. */
export function encodePath(key: string): string {
  return key.split('/').map(encode).join('/')
}

// Most of what a URL is signed with needs no encoding, and seeing that is cheaper than encoding it.
const UNRESERVED = /^[\w.~-]*$/

/** RFC 3986 with the slash encoded too, as the signature demands. */
export function encode(text: string): string {
  if (UNRESERVED.test(text)) return text
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
