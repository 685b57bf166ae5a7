import { promisify } from 'node:util'
import { brotliCompress, brotliDecompress, constants } from 'node:zlib'
import type { Settings } from './options.ts'

const compress = promisify(brotliCompress)
const decompress = promisify(brotliDecompress)

/** The first character of a compressed text; the codec's own are `j` and `t`. */
const COMPRESSED = 'b'
/** About as fast as the fastest, and half a size better. */
const QUALITY = 4

/**
 * What Redis keeps of an encoded value: beyond `compressOver` bytes `b` and the base64 of its Brotli form, if that
 * is shorter; nothing when it has more than `maxEntryBytes`.
 */
export async function pack(
  encoded: string,
  { compressOver, maxEntryBytes }: Pick<Settings['l2'], 'compressOver' | 'maxEntryBytes'>,
): Promise<string | undefined> {
  if (encoded.length <= Math.min(compressOver, maxEntryBytes) / 3) return encoded
  const size = Buffer.byteLength(encoded)
  if (size > maxEntryBytes) return undefined
  if (size <= compressOver) return encoded
  const bytes = await compress(encoded, {
    params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: size },
  })
  const packed = COMPRESSED + bytes.toString('base64')
  return packed.length < size ? packed : encoded
}

export function isPacked(text: string): boolean {
  return text.startsWith(COMPRESSED)
}

/** Rejects when there is more inside than `limit` bytes: whoever can write to Redis cannot fill this process. */
export async function unpack(packed: string, limit: number): Promise<string> {
  const bytes = await decompress(Buffer.from(packed.slice(1), 'base64'), { maxOutputLength: limit })
  return bytes.toString()
}
