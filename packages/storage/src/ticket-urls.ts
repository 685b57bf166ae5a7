import { createHash } from 'node:crypto'
import type { Provider } from './provider.ts'
import { quarantineKey } from './quarantine.ts'
import type { TicketClaims } from './ticket.ts'
import type { UploadTicket } from './upload-types.ts'

/** What the browser needs to send the file of these claims, or what is missing of it. */
export function ticketOf(
  provider: Provider,
  claims: TicketClaims,
  token: string,
  /** Seconds that the URLs are good for. */
  expires: number,
  partSha256: readonly string[] | undefined,
  sent: ReadonlySet<number> = new Set(),
): UploadTicket {
  const { type, size, sha256, multipart } = claims
  const key = quarantineKey(claims)
  const checked = provider.capabilities.verifiesSha256
  const expiresAt = new Date(Date.now() + expires * 1_000).toISOString()
  if (!multipart) {
    const headers = {
      'content-type': type,
      'if-none-match': '*',
      ...(sha256 && checked ? { 'x-amz-checksum-sha256': sha256 } : {}),
    }
    const signed = { ...headers, 'content-length': String(size) }
    const url = provider.sign({ method: 'PUT', key, expires, headers: signed })
    return { kind: 'put', token, expiresAt, url, headers }
  }
  const { partSize, uploadId } = multipart
  const parts = Array.from({ length: Math.ceil(size / partSize) }, (_, index) => {
    const digest = checked ? partSha256?.[index] : undefined
    const headers: Record<string, string> = digest ? { 'x-amz-checksum-sha256': digest } : {}
    const bytes = Math.min(partSize, size - index * partSize)
    const url = provider.sign({
      method: 'PUT',
      key,
      expires,
      headers: { ...headers, 'content-length': String(bytes) },
      query: { partNumber: String(index + 1), uploadId },
    })
    return { url, size: bytes, headers, sent: sent.has(index + 1) }
  })
  return { kind: 'multipart', token, expiresAt, partSize, parts }
}

/** One digest for all parts: that of their digests. */
export function digestOfParts(partSha256: readonly string[]): string {
  const digest = createHash('sha256')
  for (const part of partSha256) digest.update(part, 'base64')
  return digest.digest('base64')
}
