/** Texts longer than this go out in more than one frame. */
export const FRAME_TARGET = 65_536

/** One unmasked WebSocket text frame (RFC 6455, section 5.2), as a server sends it. */
export function encodeFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = 0x81
  if (header === 2) frame[1] = length
  else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    frame.writeUInt32BE(length % 2 ** 32, 6)
  }
  frame.write(text, header)
  return frame
}

/** Messages joined into as few frames of about {@link FRAME_TARGET} as they need, in one buffer. */
export function encodeFrames(messages: readonly string[]): Buffer {
  const frames: Buffer[] = []
  let from = 0
  let size = 0
  for (let at = 0; at < messages.length; at++) {
    size += (messages[at]?.length ?? 0) + 1
    if (size < FRAME_TARGET && at < messages.length - 1) continue
    frames.push(encodeFrame(messages.slice(from, at + 1).join('\n')))
    from = at + 1
    size = 0
  }
  const [only] = frames
  return frames.length === 1 && only ? only : Buffer.concat(frames)
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
