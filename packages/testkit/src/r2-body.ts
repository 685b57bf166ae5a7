import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import { decodeAwsChunked } from './r2-aws-chunked.ts'
import type { Checksum, ChecksumAlgorithm, RunningChecksum } from './r2-checksum.ts'
import { CHECKSUM_ALGORITHMS, checkedChecksum, checkedDigest, startChecksum } from './r2-checksum.ts'
import type { R2Headers } from './r2-headers.ts'
import { S3Error } from './r2-s3-error.ts'
import type { VerifiedSignature } from './r2-signature.ts'

/** What is known of a payload once all of it has arrived and every check has passed. */
export interface ReceivedBody {
  readonly size: number
  /** Hex MD5, which is the ETag. */
  readonly md5: string
  readonly checksum: Checksum | undefined
}

/** Handles the bytes of a payload as they arrive; awaited, so the sender is slowed to the speed of the sink. */
export type BodySink = (chunk: Buffer) => Promise<void> | void

/** Largest payload of one request: 5 GiB less 5 MiB, as R2 has it. */
export const MAX_UPLOAD_BYTES = 5 * 1024 ** 3 - 5 * 1024 ** 2

/**
 * A request's payload: how long it must be, how it is framed, and what it must hash to. All of that is settled from the
 * headers, so that a malformed request is refused before a byte is read.
 */
export class R2Body {
  /** Bytes of content, without the framing of aws-chunked. */
  readonly size: number
  readonly #raw: AsyncIterable<Buffer>
  readonly #payloadHash: string
  readonly #signature: VerifiedSignature
  readonly #trailer: ChecksumAlgorithm | undefined
  readonly #declared: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined
  readonly #md5: string | undefined

  constructor(
    raw: AsyncIterable<Buffer>,
    headers: R2Headers,
    payloadHash: string,
    signature: VerifiedSignature,
  ) {
    this.#raw = raw
    this.#payloadHash = payloadHash
    this.#signature = signature
    this.size = contentSize(headers, payloadHash)
    if (this.size > MAX_UPLOAD_BYTES) throw new S3Error('EntityTooLarge')
    this.#trailer = trailerAlgorithm(headers.get('x-amz-trailer'))
    this.#declared = declaredChecksum(headers)
    const md5 = headers.get('content-md5')
    if (md5 !== undefined) this.#md5 = checkedDigest(md5, 16)
    if ([md5, this.#declared, this.#trailer].filter((given) => given !== undefined).length > 1)
      throw new S3Error(
        'InvalidRequest',
        'R2 takes one checksum per request: Content-MD5 or one x-amz-checksum header.',
      )
  }

  /** The checksum algorithm the client chose, if any. */
  get algorithm(): ChecksumAlgorithm | undefined {
    return this.#declared?.algorithm ?? this.#trailer
  }

  /**
   * Passes the content to `sink` and verifies length, payload hash, chunk signatures, MD5 and checksum at the end.
   * The sink has seen every byte before a mismatch is known: it must not publish anything until this resolves.
   */
  async receive(sink: BodySink, extra?: ChecksumAlgorithm): Promise<ReceivedBody> {
    const md5 = createHash('md5')
    const sha256 = /^[0-9a-f]{64}$/.test(this.#payloadHash) ? createHash('sha256') : undefined
    const algorithm = this.algorithm ?? extra
    const checksum = algorithm === undefined ? undefined : startChecksum(algorithm)
    const trailers = new Map<string, string>()
    let size = 0
    for await (const chunk of this.#content(trailers)) {
      size += chunk.length
      if (size > this.size) throw new S3Error('InvalidRequest', 'The body is longer than announced.')
      md5.update(chunk)
      sha256?.update(chunk)
      checksum?.update(chunk)
      await sink(chunk)
    }
    if (size < this.size) throw new S3Error('IncompleteBody')
    return this.#judge(size, md5, sha256, checksum, trailers)
  }

  /** Collects a small body, for XML. */
  async text(limit: number): Promise<string> {
    if (this.size > limit) throw new S3Error('EntityTooLarge', 'The XML body is too large.')
    const chunks: Buffer[] = []
    await this.receive((chunk) => void chunks.push(chunk))
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
    } catch {
      throw new S3Error('MalformedXML')
    }
  }

  #content(trailers: Map<string, string>): AsyncIterable<Buffer> {
    if (!this.#payloadHash.startsWith('STREAMING-')) return this.#raw
    return decodeAwsChunked(this.#raw, {
      signature: this.#payloadHash.startsWith('STREAMING-UNSIGNED') ? undefined : this.#signature,
      trailer: this.#payloadHash.endsWith('-TRAILER'),
      trailers,
    })
  }

  #judge(
    size: number,
    md5: Hash,
    sha256: Hash | undefined,
    running: RunningChecksum | undefined,
    trailers: ReadonlyMap<string, string>,
  ): ReceivedBody {
    const etag = md5.digest()
    if (this.#md5 !== undefined && this.#md5 !== etag.toString('base64')) throw new S3Error('BadDigest')
    if (sha256 !== undefined && sha256.digest('hex') !== this.#payloadHash)
      throw new S3Error('BadDigest', 'The content does not have the signed x-amz-content-sha256.')
    const value = running?.digest().toString('base64')
    if (this.#trailer !== undefined) {
      const given = trailers.get(`x-amz-checksum-${this.#trailer}`)
      if (given === undefined) throw new S3Error('InvalidRequest', 'The announced trailer is missing.')
      if (checkedChecksum(this.#trailer, given) !== value) throw new S3Error('BadDigest')
    }
    if (this.#declared !== undefined && this.#declared.value !== value) throw new S3Error('BadDigest')
    const algorithm = this.algorithm
    return {
      size,
      md5: etag.toString('hex'),
      checksum:
        algorithm === undefined || value === undefined
          ? undefined
          : { algorithm, value, type: 'FULL_OBJECT' },
    }
  }
}

function contentSize(headers: R2Headers, payloadHash: string): number {
  const streaming = payloadHash.startsWith('STREAMING-')
  const raw = headers.get('content-length')
  const decoded = headers.get('x-amz-decoded-content-length')
  if (streaming && decoded === undefined)
    throw new S3Error('MissingContentLength', 'The header x-amz-decoded-content-length is missing.')
  const length = streaming ? decoded : raw
  if (length === undefined) throw new S3Error('MissingContentLength')
  if (!/^\d{1,15}$/.test(length)) throw new S3Error('InvalidArgument', 'The content length is malformed.')
  return Number(length)
}

function trailerAlgorithm(header: string | undefined): ChecksumAlgorithm | undefined {
  if (header === undefined) return undefined
  const algorithm = CHECKSUM_ALGORITHMS.find((name) => header.toLowerCase() === `x-amz-checksum-${name}`)
  if (algorithm === undefined)
    throw new S3Error('InvalidRequest', 'The trailer must be one x-amz-checksum header.')
  return algorithm
}

function declaredChecksum(headers: R2Headers) {
  const given = CHECKSUM_ALGORITHMS.flatMap((algorithm) => {
    const value = headers.get(`x-amz-checksum-${algorithm}`)
    return value === undefined ? [] : [{ algorithm, value: checkedChecksum(algorithm, value) }]
  })
  if (given.length > 1) throw new S3Error('InvalidRequest', 'Send one x-amz-checksum header, not several.')
  return given[0]
}
