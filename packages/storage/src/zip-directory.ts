/** Reads `length` bytes at `start`. */
type ReadAt = (start: number, length: number) => Promise<Uint8Array>

interface End {
  /** Where the record lies in the file. */
  readonly at: number
  readonly entries: number
  readonly size: number
  readonly offset: number
}

// Each kind must have its main part; the directory's word for it, nothing is unpacked.
const MAIN_PARTS: Readonly<Record<string, string | undefined>> = {
  'application/zip': undefined,
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'word/document.xml',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xl/workbook.xml',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'ppt/presentation.xml',
  'application/vnd.oasis.opendocument.text': 'content.xml',
  'application/vnd.oasis.opendocument.spreadsheet': 'content.xml',
  'application/vnd.oasis.opendocument.presentation': 'content.xml',
  'application/epub+zip': 'META-INF/container.xml',
}

/** Bytes at the end in which a zip's last record must begin: its comment is at most 64 KiB long. */
export const ZIP_TAIL_BYTES: number = 22 + 65_535

const MOST_ENTRIES = 10_000
const MOST_DIRECTORY = 2 * 2 ** 20
const MOST_UNPACKED = 512 * 2 ** 20
/** What is unpacked to less than this may be packed as tightly as it likes. */
const HARMLESS = 2 ** 20
const MOST_RATIO = 100

export function isZipType(type: string): boolean {
  return type in MAIN_PARTS
}

/** Whether the file ends as a zip does: so it can be read as one, whatever it begins with. */
export function endsAsZip(tail: Uint8Array, size: number): boolean {
  return endOf(tail, size) !== undefined
}

/**
 * What is wrong with an archive, by its directory: `undefined` when nothing is. Refuses what unpacks to too much,
 * entries that lie over each other or lead out of the folder, encryption, macros, and a document without its
 * main part. The directory can lie about sizes; who unpacks must count all the same.
 */
export async function zipMistake(
  tail: Uint8Array,
  size: number,
  type: string,
  read: ReadAt,
): Promise<string | undefined> {
  const end = endOf(tail, size)
  if (!end) return 'The archive has no directory.'
  if (end.entries > MOST_ENTRIES || end.size > MOST_DIRECTORY) return 'The archive has too many entries.'
  // Anything before the first entry or between the directory and its end would be another file.
  if (end.offset + end.size !== end.at) return 'The archive is not in order.'
  const entries = entriesOf(Buffer.from(await read(end.offset, end.size)), end.entries)
  if (!entries) return 'The archive is not in order.'
  let packed = 0
  let unpacked = 0
  let free = 0
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset < free) return 'Entries of the archive lie over each other.'
    free = entry.offset + LOCAL_HEADER + entry.packed
    packed += entry.packed
    unpacked += entry.unpacked
    if (entry.flags & 1) return 'The archive is encrypted.'
    if (entry.method !== 0 && entry.method !== 8) return 'The archive is packed in an unknown way.'
    if (/^[/\\]|^[A-Za-z]:|\\|(?:^|\/)\.\.(?:\/|$)|\0/.test(entry.name))
      return 'The archive leads out of its folder.'
    if (/(?:^|\/)vbaProject\.bin$/i.test(entry.name)) return 'The document has macros.'
  }
  if (free > end.offset) return 'Entries of the archive lie over each other.'
  const tight = unpacked > HARMLESS && unpacked > packed * MOST_RATIO
  if (tight || unpacked > MOST_UNPACKED) return 'The archive unpacks to too much.'
  const main = MAIN_PARTS[type]
  if (main !== undefined && !entries.some(({ name }) => name === main)) {
    return 'The document does not have its main part.'
  }
  return undefined
}

const LOCAL_HEADER = 30

interface Entry {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly packed: number
  readonly unpacked: number
  readonly offset: number
}

function endOf(tail: Uint8Array, fileSize: number): End | undefined {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.length)
  for (let at = bytes.length - 22; at >= 0; at--) {
    if (bytes.readUInt32LE(at) !== 0x06054b50) continue
    // Only the record that ends with the file is its last one.
    if (at + 22 + bytes.readUInt16LE(at + 20) !== bytes.length) continue
    return {
      at: fileSize - bytes.length + at,
      entries: bytes.readUInt16LE(at + 10),
      size: bytes.readUInt32LE(at + 12),
      offset: bytes.readUInt32LE(at + 16),
    }
  }
  return undefined
}

function entriesOf(directory: Buffer, count: number): readonly Entry[] | undefined {
  const entries: Entry[] = []
  let at = 0
  while (at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50) {
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28)
    if (nameEnd > directory.length) return undefined
    entries.push({
      name: directory.toString('utf8', at + 46, nameEnd),
      flags: directory.readUInt16LE(at + 8),
      method: directory.readUInt16LE(at + 10),
      packed: directory.readUInt32LE(at + 20),
      unpacked: directory.readUInt32LE(at + 24),
      offset: directory.readUInt32LE(at + 42),
    })
    at = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
  }
  return at === directory.length && entries.length === count ? entries : undefined
}
