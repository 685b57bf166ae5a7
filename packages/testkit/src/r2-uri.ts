import { S3Error } from './r2-s3-error.ts'

/** What a request is about, before any meaning is given to it. `bucket` and `key` are `''` when absent. */
export interface R2Target {
  readonly bucket: string
  readonly key: string
  /** The path exactly as it came, which some clients sign as it is. */
  readonly rawPath: string
  /** The path in SigV4's own encoding, which the others sign. */
  readonly canonicalPath: string
  readonly query: ReadonlyMap<string, string>
}

const MAX_KEY_BYTES = 1024
const MAX_QUERY_PARAMETERS = 100
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Percent-encodes as SigV4 wants it: everything but `A-Z a-z 0-9 - . _ ~`, with capital hex digits. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** The same for a path, whose slashes stay. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeUri).join('/')
}

/**
 * Splits a request target into bucket, key and query. Nothing is normalised: `//`, `.` and `..` are ordinary parts of
 * a key. A host of the form `<bucket>.localhost` names the bucket, anything else means path style.
 */
export function parseTarget(target: string, host: string): R2Target {
  if (!/^\/[\x21-\x7e]*$/.test(target)) throw new S3Error('InvalidURI')
  const mark = target.indexOf('?')
  const rawPath = mark === -1 ? target : target.slice(0, mark)
  const query = parseQuery(mark === -1 ? '' : target.slice(mark + 1))
  const path = decode(rawPath)
  const virtual = /^([a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.localhost(?::\d+)?$/.exec(host)?.[1]
  const slash = path.indexOf('/', 1)
  const bucket = virtual ?? (slash === -1 ? path.slice(1) : path.slice(1, slash))
  const key = virtual === undefined ? (slash === -1 ? '' : path.slice(slash + 1)) : path.slice(1)
  return { bucket, key: checkedKey(key), rawPath, canonicalPath: encodePath(path), query }
}

/** Bucket and key of an `x-amz-copy-source` header. */
export function parseCopySource(header: string): { readonly bucket: string; readonly key: string } {
  const [source = '', version] = header.split('?versionId=')
  if (version !== undefined) throw new S3Error('NotImplemented', 'R2 has no object versions to copy from.')
  const path = decode(source.startsWith('/') ? source.slice(1) : source)
  const slash = path.indexOf('/')
  if (slash <= 0 || slash === path.length - 1)
    throw new S3Error('InvalidArgument', 'The copy source must be a bucket and a key.')
  return { bucket: path.slice(0, slash), key: checkedKey(path.slice(slash + 1)) }
}

/** Refuses what cannot be an object key, in a URL or in a body. */
export function checkedKey(key: string): string {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES || key.includes('\0')) throw new S3Error('InvalidObjectName')
  return key
}

function parseQuery(raw: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  for (const pair of raw.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decode((equals === -1 ? pair : pair.slice(0, equals)).replaceAll('+', ' '))
    const value = equals === -1 ? '' : decode(pair.slice(equals + 1).replaceAll('+', ' '))
    if (query.has(name)) throw new S3Error('InvalidArgument', 'A query parameter is given twice.')
    if (query.size === MAX_QUERY_PARAMETERS) throw new S3Error('InvalidURI')
    query.set(name, value)
  }
  return query
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  const bytes = Buffer.alloc(text.length)
  let length = 0
  for (let i = 0; i < text.length; i += 1) {
    let byte = text.charCodeAt(i)
    if (byte === 0x25) {
      const hex = text.slice(i + 1, i + 3)
      if (!/^[0-9a-fA-F]{2}$/.test(hex)) throw new S3Error('InvalidURI')
      byte = Number.parseInt(hex, 16)
      i += 2
    }
    bytes[length] = byte
    length += 1
  }
  try {
    return utf8.decode(bytes.subarray(0, length))
  } catch {
    throw new S3Error('InvalidURI', 'The request target is not valid UTF-8.')
  }
}
