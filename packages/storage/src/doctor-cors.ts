import type { Finding } from './doctor-finding.ts'
import type { Provider } from './provider.ts'

const UPLOAD_HEADERS = ['content-type', 'if-none-match', 'x-amz-checksum-sha256']

/** Whether pages of this origin may send files. */
export async function examineCors(provider: Provider, origin: string, prefix: string): Promise<Finding> {
  const url = provider.sign({ method: 'PUT', key: `${prefix}cors`, expires: 60 })
  const answer = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': UPLOAD_HEADERS.join(','),
    },
  })
  const listOf = (name: string) =>
    (answer.headers.get(name) ?? '').split(',').map((one) => one.trim().toLowerCase())
  const allows = (name: string, wanted: readonly string[]) => {
    const listed = listOf(name)
    return wanted.every((one) => listed.includes('*') || listed.includes(one.toLowerCase()))
  }
  const allowed =
    answer.ok &&
    allows('access-control-allow-origin', [origin]) &&
    allows('access-control-allow-methods', ['PUT']) &&
    allows('access-control-allow-headers', UPLOAD_HEADERS)
  if (allowed) return { check: 'cors', outcome: 'ok', detail: `pages of ${origin} may upload` }
  const rule = {
    AllowedOrigins: [origin],
    AllowedMethods: ['GET', 'PUT'],
    AllowedHeaders: UPLOAD_HEADERS,
    ExposeHeaders: ['ETag'],
    MaxAgeSeconds: 3_600,
  }
  return {
    check: 'cors',
    outcome: 'failure',
    detail: `pages of ${origin} may not upload`,
    advice: `Add to the bucket's CORS policy: ${JSON.stringify([rule])}`,
  }
}
