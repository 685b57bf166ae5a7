import { crc32, deflateSync } from 'node:zlib'

/** A PNG whose header says these dimensions; its picture data is next to nothing. */
export function png(width: number, height: number, extra: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    extra,
    chunk('IDAT', deflateSync(Buffer.alloc(4))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** What makes a PNG an animation of so many pictures. */
export function animation(frames: number): Buffer {
  const control = Buffer.alloc(8)
  control.writeUInt32BE(frames)
  return chunk('acTL', control)
}

function chunk(kind: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const named = Buffer.concat([Buffer.from(kind), data])
  const check = Buffer.alloc(4)
  check.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, check])
}

/** A GIF of one pixel, so many times. */
export function gif(frames: number): Buffer {
  const picture = Buffer.from('2c000000000100010000020244010 0'.replaceAll(' ', ''), 'hex')
  return Buffer.concat([
    Buffer.from('GIF89a'),
    Buffer.from('01000100800000000000ffffff', 'hex'),
    ...Array.from({ length: frames }, () => picture),
    Buffer.from(';'),
  ])
}

export interface ZipEntry {
  readonly name: string
  readonly data?: Buffer
  /** What the directory says of the size, whatever it is. */
  readonly claims?: number
  readonly flags?: number
  /** Puts the entry over another one. */
  readonly offset?: number
}

/** A stored zip, as honest as its entries. */
export function zip(entries: readonly ZipEntry[], before: Buffer = Buffer.alloc(0)): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let at = before.length
  for (const { name, data = Buffer.from('x'), claims = data.length, flags = 0, offset = at } of entries) {
    const title = Buffer.from(name)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(20, 4)
    local.writeUInt32LE(crc32(data), 14)
    local.writeUInt32LE(data.length, 18)
    local.writeUInt32LE(claims, 22)
    local.writeUInt16LE(title.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50)
    entry.writeUInt16LE(flags, 8)
    entry.writeUInt32LE(data.length, 20)
    entry.writeUInt32LE(claims, 24)
    entry.writeUInt16LE(title.length, 28)
    entry.writeUInt32LE(offset, 42)
    locals.push(local, title, data)
    directory.push(entry, title)
    at += local.length + title.length + data.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([before, ...locals, listed, end])
}

export const CONTENT_TYPES: ZipEntry = {
  name: '[Content_Types].xml',
  data: Buffer.from(
    '<Types><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
  ),
}
