import type { PartDigests } from './part-digests.ts'
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
  { partSha256, partMd5 }: PartDigests,
  sent: ReadonlySet<number> = new Set(),
): UploadTicket {
  const { type, size, sha256, md5, multipart } = claims
  const key = quarantineKey(claims)
  const checked = provider.capabilities.verifiesSha256
  const expiresAt = new Date(Date.now() + expires * 1_000).toISOString()
  if (!multipart) {
    const headers = { 'content-type': type, 'if-none-match': '*', ...checksumOf(checked, sha256, md5) }
    const signed = { ...headers, 'content-length': String(size) }
    const url = provider.sign({ method: 'PUT', key, expires, headers: signed })
    return { kind: 'put', token, expiresAt, url, headers }
  }
  const { partSize, uploadId } = multipart
  const parts = Array.from({ length: Math.ceil(size / partSize) }, (_, index) => {
    const headers = checksumOf(checked, partSha256?.[index], partMd5?.[index])
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

/** One of the two: R2 takes no more. What the provider does not check is not sent. */
function checksumOf(
  checksSha256: boolean,
  sha256: string | undefined,
  md5: string | undefined,
): Readonly<Record<string, string>> {
  if (sha256 !== undefined && checksSha256) return { 'x-amz-checksum-sha256': sha256 }
  return md5 === undefined ? {} : { 'content-md5': md5 }
}
