import { S3Error } from './r2-s3-error.ts'
import { element, s3Document } from './r2-xml.ts'
import type { XmlElement } from './r2-xml-parser.ts'
import { childrenOf, childText } from './r2-xml-parser.ts'

/** One rule of a bucket's CORS policy, with the field names of R2's own policy document. */
export interface R2CorsRule {
  /** Exact origins such as `https://app.example`, with at most one `*` each, or `*` alone. */
  readonly AllowedOrigins: readonly string[]
  readonly AllowedMethods: readonly string[]
  /** Request headers a browser may send; at most one `*` each. */
  readonly AllowedHeaders?: readonly string[] | undefined
  /** Response headers a script may read; list `ETag` for multipart uploads from browsers. */
  readonly ExposeHeaders?: readonly string[] | undefined
  readonly MaxAgeSeconds?: number | undefined
}

const METHODS = new Set(['GET', 'PUT', 'POST', 'DELETE', 'HEAD'])
const MAX_RULES = 100

/** Headers for an actual cross-origin request; none when no rule allows it, which makes the browser hide the answer. */
export function corsHeaders(
  rules: readonly R2CorsRule[] | undefined,
  origin: string | undefined,
  method: string,
): Record<string, string> {
  const rule = origin === undefined ? undefined : findRule(rules, origin, method, [])
  if (rule === undefined || origin === undefined) return {}
  return {
    'access-control-allow-origin': rule.AllowedOrigins.includes('*') ? '*' : origin,
    ...(rule.ExposeHeaders?.length ? { 'access-control-expose-headers': rule.ExposeHeaders.join(', ') } : {}),
    vary: 'Origin',
  }
}

/** Headers that answer a preflight. @throws S3Error when no rule allows origin, method and headers together. */
export function preflightHeaders(
  rules: readonly R2CorsRule[] | undefined,
  header: (name: string) => string | undefined,
): Record<string, string> {
  const origin = header('origin')
  const method = header('access-control-request-method')
  if (origin === undefined || method === undefined)
    throw new S3Error('InvalidRequest', 'A preflight names its origin and the method it asks for.')
  const asked = (header('access-control-request-headers') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  const rule = findRule(rules, origin, method, asked)
  if (rule === undefined) throw new S3Error('AccessForbidden')
  return {
    ...corsHeaders([rule], origin, method),
    'access-control-allow-methods': rule.AllowedMethods.join(', '),
    ...(asked.length > 0 ? { 'access-control-allow-headers': asked.join(', ') } : {}),
    ...(rule.MaxAgeSeconds === undefined ? {} : { 'access-control-max-age': String(rule.MaxAgeSeconds) }),
    vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
  }
}

/** Reads a `CORSConfiguration` document. */
export function parseCors(root: XmlElement): readonly R2CorsRule[] {
  const rules = childrenOf(root, 'CORSRule').map((rule): R2CorsRule => {
    const texts = (name: string) => childrenOf(rule, name).map((child) => child.text)
    const age = childText(rule, 'MaxAgeSeconds')
    return {
      AllowedOrigins: texts('AllowedOrigin'),
      AllowedMethods: texts('AllowedMethod'),
      AllowedHeaders: texts('AllowedHeader'),
      ExposeHeaders: texts('ExposeHeader'),
      ...(age === undefined ? {} : { MaxAgeSeconds: Number(age) }),
    }
  })
  if (root.name !== 'CORSConfiguration' || rules.length === 0 || rules.length > MAX_RULES)
    throw new S3Error('MalformedXML')
  const mistake = corsMistake(rules)
  if (mistake !== undefined) throw new S3Error('InvalidRequest', mistake)
  return rules
}

/** The same as XML. */
export function renderCors(rules: readonly R2CorsRule[]): string {
  const all = (name: string, values: readonly string[] = []) =>
    values.map((value) => element(name, value)).join('')
  return s3Document(
    'CORSConfiguration',
    rules
      .map((rule) =>
        element(
          'CORSRule',
          all('AllowedOrigin', rule.AllowedOrigins) +
            all('AllowedMethod', rule.AllowedMethods) +
            all('AllowedHeader', rule.AllowedHeaders) +
            all('ExposeHeader', rule.ExposeHeaders) +
            (rule.MaxAgeSeconds === undefined ? '' : element('MaxAgeSeconds', rule.MaxAgeSeconds)),
          'raw',
        ),
      )
      .join(''),
  )
}

/** What is wrong with a policy, or undefined. */
export function corsMistake(rules: readonly R2CorsRule[]): string | undefined {
  for (const rule of rules) {
    if (rule.AllowedOrigins.length === 0 || rule.AllowedMethods.length === 0)
      return 'A CORS rule needs at least one AllowedOrigin and one AllowedMethod.'
    if (!rule.AllowedMethods.every((method) => METHODS.has(method)))
      return 'AllowedMethod must be GET, PUT, POST, DELETE or HEAD.'
    if (!rule.AllowedOrigins.every((origin) => /^(\*|[a-z][a-z0-9+.-]*:\/\/[^/*]*(\*[^/*]*)?)$/.test(origin)))
      return 'AllowedOrigin must be scheme://host[:port] without a path.'
    if (
      rule.MaxAgeSeconds !== undefined &&
      !(Number.isInteger(rule.MaxAgeSeconds) && rule.MaxAgeSeconds >= 0)
    )
      return 'MaxAgeSeconds must be a whole number.'
  }
  return undefined
}

function findRule(
  rules: readonly R2CorsRule[] | undefined,
  origin: string,
  method: string,
  headers: readonly string[],
): R2CorsRule | undefined {
  return rules?.find(
    (rule) =>
      rule.AllowedOrigins.some((pattern) => fits(pattern, origin)) &&
      rule.AllowedMethods.includes(method) &&
      headers.every((name) => rule.AllowedHeaders?.some((pattern) => fits(pattern.toLowerCase(), name))),
  )
}

function fits(pattern: string, value: string): boolean {
  const star = pattern.indexOf('*')
  if (star === -1) return pattern === value
  const head = pattern.slice(0, star)
  const tail = pattern.slice(star + 1)
  return value.length >= head.length + tail.length && value.startsWith(head) && value.endsWith(tail)
}
