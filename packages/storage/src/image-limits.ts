import { imageSize } from 'image-size'
import { ByteCursor } from './byte-cursor.ts'

/** What an image may cost whoever unpacks it. */
export interface ImageLimits {
  /** Width times height. @default 40,000,000 */
  readonly maxPixels: number
  /** Pictures of an animation. @default 500 */
  readonly maxFrames: number
}

/** Bytes at the start that have the dimensions, behind all that cameras write before them. */
export const IMAGE_HEADER_BYTES: number = 256 * 1_024

/** Why the image must not be unpacked, by its header alone; `undefined` when it may. Nothing is decoded. */
export async function imageMistake(
  start: Uint8Array,
  type: string,
  limits: ImageLimits,
  read: () => AsyncIterable<Uint8Array>,
): Promise<string | undefined> {
  let width: number
  let height: number
  try {
    ;({ width, height } = imageSize(start))
  } catch {
    return 'The image cannot be read.'
  }
  if (!(width > 0 && height > 0)) return 'The image cannot be read.'
  if (width * height > limits.maxPixels) return 'The image has too many pixels.'
  if ((await framesOf(start, type, limits.maxFrames, read)) > limits.maxFrames) {
    return 'The animation has too many pictures.'
  }
  return undefined
}

const BROKEN = Number.POSITIVE_INFINITY

/** Counts the pictures, up to one more than `most`; more than any limit when the file is not as it should be. */
async function framesOf(
  start: Uint8Array,
  type: string,
  most: number,
  read: () => AsyncIterable<Uint8Array>,
): Promise<number> {
  if (type === 'image/png' || type === 'image/apng') return pngFrames(start)
  const count = type === 'image/gif' ? gifFrames : type === 'image/webp' ? webpFrames : undefined
  if (!count) return 1
  const cursor = new ByteCursor(read())
  try {
    return await count(cursor, most)
  } finally {
    await cursor.close()
  }
}

/** Chunks with a size of their own; an animation says how long it is before its first picture. */
function pngFrames(start: Uint8Array): number {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.length)
  for (let at = 8; at + 12 <= bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    const kind = bytes.toString('latin1', at + 4, at + 8)
    if (kind === 'acTL') return bytes.readUInt32BE(at + 8)
    if (kind === 'IDAT') return 1
  }
  return BROKEN
}

/** GIF89a: blocks behind the screen descriptor, each with a size of its own. */
async function gifFrames(cursor: ByteCursor, most: number): Promise<number> {
  const screen = await cursor.take(13)
  if (!screen || !(await cursor.skip(colours(screen[10])))) return BROKEN
  let frames = 0
  while (frames <= most) {
    const [kind] = (await cursor.take(1)) ?? []
    if (kind === 0x3b) return frames
    if (kind === 0x2c) {
      frames++
      const descriptor = await cursor.take(9)
      // The colours, and the byte of the code size before the picture.
      if (!descriptor || !(await cursor.skip(colours(descriptor[8]) + 1))) return BROKEN
    } else if (kind !== 0x21 || !(await cursor.skip(1))) return BROKEN
    for (let [size] = (await cursor.take(1)) ?? []; size !== 0; [size] = (await cursor.take(1)) ?? []) {
      if (size === undefined || !(await cursor.skip(size))) return BROKEN
    }
  }
  return frames
}

function colours(flags = 0): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
}

/** RIFF: chunks with a size of their own; each picture of an animation is an `ANMF`. */
async function webpFrames(cursor: ByteCursor, most: number): Promise<number> {
  if (!(await cursor.take(12))) return BROKEN
  let frames = 0
  while (frames <= most) {
    const header = await cursor.take(8)
    if (!header) return Math.max(1, frames)
    const chunk = Buffer.from(header)
    if (chunk.toString('latin1', 0, 4) === 'ANMF') frames++
    const size = chunk.readUInt32LE(4)
    if (!(await cursor.skip(size + (size % 2)))) return Math.max(1, frames)
  }
  return frames
}
