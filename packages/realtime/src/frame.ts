import { constants, deflateRawSync } from 'node:zlib'

/** Texts longer than this go out in more than one frame. */
export const FRAME_TARGET = 65_536

/** Which texts are compressed: those of so many bytes or more. */
export interface Compression {
  readonly threshold: number
}

const TEXT = 0x81
// With the bit that says "compressed" (RFC 7692, section 6).
const DEFLATED_TEXT = 0xc1
// More would hold up the event loop for too long.
const MOST_DEFLATED = 262_144
// Half the time of the default, and nearly as small: what is compressed is JSON.
const LEVEL = 3

/** One unmasked WebSocket text frame (RFC 6455, section 5.2), as a server sends it. */
export function encodeFrame(text: string): Buffer {
  const { frame, header } = emptyFrame(TEXT, Buffer.byteLength(text))
  frame.write(text, header)
  return frame
}

/**
 * The same, compressed where that makes it smaller: for sockets that agreed on permessage-deflate and expect
 * nothing of earlier messages, so that any number of them can share it.
 */
function deflateFrame(text: string, { threshold }: Compression): Buffer {
  const length = Buffer.byteLength(text)
  if (length < threshold || length > MOST_DEFLATED) return encodeFrame(text)
  const flushed = deflateRawSync(text, { level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH })
  // Every flush ends with the same four bytes, which are left out (RFC 7692, section 7.2.1).
  const deflated = flushed.subarray(0, -4)
  if (deflated.length >= length) return encodeFrame(text)
  const { frame, header } = emptyFrame(DEFLATED_TEXT, deflated.length)
  deflated.copy(frame, header)
  return frame
}

function emptyFrame(type: number, length: number): { readonly frame: Buffer; readonly header: number } {
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = type
  if (header === 2) frame[1] = length
  else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    frame.writeUInt32BE(length % 2 ** 32, 6)
  }
  return { frame, header }
}

/** Messages joined into as few frames of about {@link FRAME_TARGET} as they need, in one buffer. */
export function encodeFrames(
  messages: readonly string[],
  encode: (text: string) => Buffer = encodeFrame,
): Buffer {
  const frames: Buffer[] = []
  let from = 0
  let size = 0
  for (let at = 0; at < messages.length; at++) {
    size += (messages[at]?.length ?? 0) + 1
    if (size < FRAME_TARGET && at < messages.length - 1) continue
    frames.push(encode(messages.slice(from, at + 1).join('\n')))
    from = at + 1
    size = 0
  }
  const [only] = frames
  return frames.length === 1 && only ? only : Buffer.concat(frames)
}

/** Messages for many sockets: each form is made when the first socket wants it, once for all of them. */
export class SharedFrames {
  readonly #messages: readonly string[]
  readonly #compression: Compression | undefined
  #plain: Buffer | undefined
  #deflated: Buffer | undefined

  constructor(messages: readonly string[], compression: Compression | undefined) {
    this.#messages = messages
    this.#compression = compression
  }

  for({ deflates }: { readonly deflates: boolean }): Buffer {
    const compression = this.#compression
    if (deflates && compression) {
      this.#deflated ??= encodeFrames(this.#messages, (text) => deflateFrame(text, compression))
      return this.#deflated
    }
    this.#plain ??= encodeFrames(this.#messages)
    return this.#plain
  }
}

/** The texts of frames that {@link encodeFrame} made. */
export function decodeFrames(frames: Buffer): readonly string[] {
  const texts: string[] = []
  for (let at = 0; at < frames.length; ) {
    let length = frames[at + 1] ?? 0
    at += 2
    if (length === 126) {
      length = frames.readUInt16BE(at)
      at += 2
    } else if (length === 127) {
      length = frames.readUInt32BE(at) * 2 ** 32 + frames.readUInt32BE(at + 4)
      at += 8
    }
    texts.push(frames.toString('utf8', at, at + length))
    at += length
  }
  return texts
}
