import { TestkitError } from './errors.ts'

/** A reply with its bytes as they came; an error reply is a value here. */
export type RawReply = Buffer | number | null | TestkitError | readonly RawReply[]

/** Reads RESP2 replies from chunks that may begin and end anywhere. */
export class ReplyReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The replies that are complete with this chunk. */
  read(chunk: Buffer): RawReply[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const replies: RawReply[] = []
    for (;;) {
      const parsed = parse(this.#rest, 0)
      if (!parsed) return replies
      replies.push(parsed.reply)
      this.#rest = this.#rest.subarray(parsed.end)
    }
  }
}

interface Parsed {
  readonly reply: RawReply
  readonly end: number
}

function parse(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const line = bytes.subarray(start + 1, lineEnd)
  const end = lineEnd + 2
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case '+':
      return { reply: line, end }
    case '-':
      return { reply: new TestkitError('TESTKIT_ERR_REPLY', line.toString('utf8')), end }
    case ':':
      return { reply: Number(line.toString('latin1')), end }
    case '$':
      return bulk(bytes, end, Number(line.toString('latin1')))
    case '*':
      return array(bytes, end, Number(line.toString('latin1')))
    default:
      throw new TestkitError(
        'TESTKIT_ERR_REPLY',
        'what listens on this port does not speak the protocol of Redis',
      )
  }
}

function bulk(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: start }
  const end = start + length
  return bytes.length < end + 2 ? undefined : { reply: bytes.subarray(start, end), end: end + 2 }
}

function array(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: start }
  const items: RawReply[] = []
  let end = start
  while (items.length < length) {
    const item = parse(bytes, end)
    if (!item) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}
