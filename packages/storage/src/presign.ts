import { createHmac, hash } from 'node:crypto'
import type { SignRequest } from './provider.ts'

/** Long-lived keys of one account, or temporary ones with their token. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** What all signatures of one second have in common. */
interface Moment {
  /** Since the epoch. */
  readonly second: number
  /** `20260131T235959Z` */
  readonly time: string
  readonly scope: string
  /** The access key and the scope, as they stand in a URL. */
  readonly credential: string
  readonly signingKey: Buffer
}

/**
 * Signs URLs for one bucket by AWS Signature Version 4 in the query (AWS, "Authenticating Requests: Using
 * Query Parameters"), path style (an empty `bucket` means that the host names it), with the payload unsigned.
 * Synchronous, without I/O; the signing key of a day is derived once.
 */
export class Presigner {
  readonly #origin: string
  readonly #host: string
  /** Of every object, before its key. */
  readonly #path: string
  readonly #region: string
  readonly #credentials: Credentials
  #moment: Moment | undefined

  constructor(endpoint: string, bucket: string, region: string, credentials: Credentials) {
    const { origin, host, pathname } = new URL(endpoint)
    this.#origin = origin
    this.#host = host
    this.#path = `${pathname.replace(/\/$/, '')}/${bucket && `${encode(bucket)}/`}`
    this.#region = region
    this.#credentials = credentials
  }

  /** `now`: milliseconds since the epoch. */
  sign({ method, key, expires, headers = {}, query = {} }: SignRequest, now: number): string {
    const { time, scope, credential, signingKey } = this.#at(now)
    const path = this.#path + encodePath(key)
    const signed: [string, string][] = [['host', this.#host]]
    for (const [name, value] of Object.entries(headers)) {
      signed.push([name.toLowerCase(), value.trim().replace(/ +/g, ' ')])
    }
    const names = signed.length > 1 ? namesOf(signed) : 'host'
    const { sessionToken } = this.#credentials
    const token = sessionToken === undefined ? '' : `&X-Amz-Security-Token=${encode(sessionToken)}`
    const own = `X-Amz-Algorithm=${ALGORITHM}&X-Amz-Credential=${credential}&X-Amz-Date=${time}&X-Amz-Expires=${expires}${token}&X-Amz-SignedHeaders=${encode(names)}`
    const others = Object.entries(query)
    const parameters = others.length > 0 ? withOthers(own, others) : own
    let lines = ''
    for (const [name, value] of signed) lines += `${name}:${value}\n`
    const canonical = `${method}\n${path}\n${parameters}\n${lines}\n${names}\nUNSIGNED-PAYLOAD`
    const text = `${ALGORITHM}\n${time}\n${scope}\n${hash('sha256', canonical)}`
    const signature = createHmac('sha256', signingKey).update(text).digest('hex')
    return `${this.#origin}${path}?${parameters}&X-Amz-Signature=${signature}`
  }

  #at(now: number): Moment {
    const second = Math.floor(now / 1_000)
    const before = this.#moment
    if (before?.second === second) return before
    const time = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, '')
    const scope = `${time.slice(0, 8)}/${this.#region}/s3/aws4_request`
    const sameDay = before?.scope === scope
    this.#moment = {
      second,
      time,
      scope,
      credential: sameDay ? before.credential : encode(`${this.#credentials.accessKeyId}/${scope}`),
      signingKey: sameDay ? before.signingKey : signingKeyOf(this.#credentials.secretAccessKey, scope),
    }
    return this.#moment
  }
}

const ALGORITHM = 'AWS4-HMAC-SHA256'

function signingKeyOf(secret: string, scope: string): Buffer {
  let key = Buffer.from(`AWS4${secret}`)
  for (const step of scope.split('/')) key = createHmac('sha256', key).update(step).digest()
  return key
}

/** Sorts the headers, and names them. */
function namesOf(headers: [string, string][]): string {
  return headers
    .sort(byName)
    .map(([name]) => name)
    .join(';')
}

/** The parameters of the signature, which are in order, with others among them. */
function withOthers(own: string, others: readonly [string, string][]): string {
  const all = own.split('&').map((pair): [string, string] => [pair.slice(0, pair.indexOf('=')), pair])
  for (const [name, value] of others) all.push([encode(name), `${encode(name)}=${encode(value)}`])
  return all
    .sort(byName)
    .map(([, pair]) => pair)
    .join('&')
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1
}

/** The key as it stands in a URL. */
export function encodePath(key: string): string {
  return UNRESERVED_PATH.test(key) ? key : encode(key).replaceAll('%2F', '/')
}

// Most of what a URL is signed with needs no encoding, and seeing that is cheaper than encoding it.
const UNRESERVED = /^[\w.~-]*$/
const UNRESERVED_PATH = /^[\w.~/-]*$/
/** What the platform leaves as it is, and the signature does not. */
const LEFT = /[!'()*]/

/** RFC 3986 with the slash encoded too, as the signature demands. */
export function encode(text: string): string {
  if (UNRESERVED.test(text)) return text
  const encoded = encodeURIComponent(text)
  return LEFT.test(encoded) ? encoded.replace(/[!'()*]/g, hexOf) : encoded
}

function hexOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
