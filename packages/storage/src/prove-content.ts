import { IMAGE_HEADER_BYTES, type ImageLimits, imageMistake } from './image-limits.ts'
import { agrees, hidesScript, SNIFF_BYTES } from './sniff.ts'
import { endsAsZip, isZipType, ZIP_TAIL_BYTES, zipMistake } from './zip-directory.ts'

/** An object that is looked at by ranges. */
export interface Evidence {
  readonly type: string
  readonly size: number
  /** Both ends included. */
  read(start: number, end: number): Promise<Uint8Array>
  readAll(): AsyncIterable<Uint8Array>
}

/** What was found instead of what the type says. */
export interface Finding {
  readonly reason: 'content' | 'image' | 'archive'
  readonly detail: string
}

/** Holds the bytes against the declared type, by the few that tell; `undefined` when they agree. */
export async function proveContent(
  { type, size, read, readAll }: Evidence,
  limits: ImageLimits,
): Promise<Finding | undefined> {
  const isImage = type.startsWith('image/')
  const startBytes = Math.min(size, isImage ? IMAGE_HEADER_BYTES : SNIFF_BYTES)
  const tailBytes = Math.min(size, ZIP_TAIL_BYTES)
  const [start, tail] = await Promise.all([read(0, startBytes - 1), read(size - tailBytes, size - 1)])
  const sniffed = start.subarray(0, SNIFF_BYTES)
  const zip = isZipType(type)
  if (!(await agrees(sniffed, type, zip ? isZipType : undefined))) {
    return { reason: 'content', detail: 'The file is not what its type says.' }
  }
  // A file that is also something else is a file that somebody else will read as that.
  if (!zip && (hidesScript(sniffed, type) || endsAsZip(tail, size))) {
    return { reason: 'content', detail: 'The file is more than what its type says.' }
  }
  if (isImage) {
    const detail = await imageMistake(start, type, limits, readAll)
    if (detail) return { reason: 'image', detail }
  }
  if (zip) {
    const detail = await zipMistake(tail, size, type, (at, length) => read(at, at + length - 1))
    if (detail) return { reason: 'archive', detail }
  }
  return undefined
}
