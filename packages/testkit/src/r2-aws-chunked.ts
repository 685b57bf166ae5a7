import { createHash } from 'node:crypto'
import { S3Error } from './r2-s3-error.ts'
import type { VerifiedSignature } from './r2-signature.ts'
import { sameHex, sign } from './r2-signature.ts'

interface AwsChunkedOptions {
  /** The signature the chain of chunk signatures starts from; undefined for unsigned chunks. */
  readonly signature: VerifiedSignature | undefined
  /** Whether trailing headers follow the last chunk. */
  readonly trailer: boolean
  /** Receives the trailing headers, names in lower case. */
  readonly trailers: Map<string, string>
}

const MAX_LINE = 1024
const MAX_TRAILERS = 8
const EMPTY_HASH = createHash('sha256').digest('hex')

/**
 * Takes the aws-chunked framing off a payload: `<hex size>[;chunk-signature=<hex>]\r\n<bytes>\r\n`, a last chunk of size
 * 0, and trailing headers with their own signature. Bytes are handed on before the signature of their chunk is verified,
 * so that nothing is held in memory: they may be used only once the whole payload has ended without an error.
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  { signature, trailer, trailers }: AwsChunkedOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const reader = new ChunkReader(source)
  try {
    let previous = signature?.seed ?? ''
    for (;;) {
      const [, hex = '', chunkSignature] =
        /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(await reader.line()) ?? malformed()
      const size = Number.parseInt(hex, 16)
      const hash = createHash('sha256')
      for await (const piece of reader.upTo(size)) {
        if (signature !== undefined) hash.update(piece)
        yield piece
      }
      if (signature !== undefined) {
        const claim = ['AWS4-HMAC-SHA256-PAYLOAD', signature.amzDate, signature.scope, previous, EMPTY_HASH]
        const expected = sign(signature.signingKey, [...claim, hash.digest('hex')].join('\n'))
        if (chunkSignature === undefined || !sameHex(expected, chunkSignature))
          throw new S3Error('SignatureDoesNotMatch', 'The signature of a chunk does not match.')
        previous = chunkSignature
      }
      if (size === 0) break
      if ((await reader.line()) !== '') return malformed()
    }
    if (trailer) await readTrailers(reader, signature, previous, trailers)
    await reader.end()
  } finally {
    await reader.close()
  }
}

async function readTrailers(
  reader: ChunkReader,
  signature: VerifiedSignature | undefined,
  previous: string,
  trailers: Map<string, string>,
): Promise<void> {
  let signed = ''
  let given: string | undefined
  for (let count = 0; ; count += 1) {
    // The protocol's own description ends a trailer with \n\r\n.
    const line = (await reader.line()).replace(/\n$/, '')
    if (line === '') break
    const [, name = '', value = ''] = /^([A-Za-z0-9-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? malformed()
    if (count === MAX_TRAILERS) return malformed()
    if (name.toLowerCase() === 'x-amz-trailer-signature') given = value
    else {
      trailers.set(name.toLowerCase(), value)
      signed += `${name.toLowerCase()}:${value}\n`
    }
  }
  if (signature === undefined) return
  const expected = sign(
    signature.signingKey,
    [
      'AWS4-HMAC-SHA256-TRAILER',
      signature.amzDate,
      signature.scope,
      previous,
      createHash('sha256').update(signed).digest('hex'),
    ].join('\n'),
  )
  if (given === undefined || !sameHex(expected, given)) throw new S3Error('SignatureDoesNotMatch')
}

/** Reads lines and counted bytes from a stream of buffers, holding no more than one of them. */
class ChunkReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    let seen: Buffer = Buffer.alloc(0)
    for (;;) {
      const joined: Buffer = seen.length === 0 ? this.#rest : Buffer.concat([seen, this.#rest])
      const end = joined.indexOf('\r\n')
      if (end > MAX_LINE || (end === -1 && joined.length > MAX_LINE)) return malformed()
      if (end !== -1) {
        this.#rest = joined.subarray(end + 2)
        return joined.toString('latin1', 0, end)
      }
      seen = joined
      this.#rest = Buffer.alloc(0)
      // The SDKs of some languages leave out the very last line break.
      if (!(await this.#more())) {
        if (seen.length === 0) return ''
        throw new S3Error('IncompleteBody')
      }
    }
  }

  async *upTo(size: number): AsyncGenerator<Buffer, void, undefined> {
    let left = size
    while (left > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new S3Error('IncompleteBody')
      const chunk = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(chunk.length)
      left -= chunk.length
      yield chunk
    }
  }

  async end(): Promise<void> {
    const rest = await this.line()
    if (rest !== '' || this.#rest.length > 0 || (await this.#more())) malformed()
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #more(): Promise<boolean> {
    for (;;) {
      const next = await this.#source.next()
      if (next.done === true) return false
      if (next.value.length > 0) {
        this.#rest = next.value
        return true
      }
    }
  }
}

function malformed(): never {
  throw new S3Error('InvalidRequest', 'The aws-chunked framing is malformed.')
}
