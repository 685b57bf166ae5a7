import { describe, expect, it } from 'vitest'
import { TestkitError } from '../../src/errors.ts'
import { textOf } from '../../src/redis-command.ts'
import { ReplyReader } from '../../src/redis-reply.ts'

const STREAM = '+OK\r\n$5\r\na\r\nbc\r\n:-7\r\n$-1\r\n*3\r\n:1\r\n*1\r\n$0\r\n\r\n*-1\r\n*0\r\n'
const REPLIES = ['OK', 'a\r\nbc', -7, null, [1, [''], null], []]

describe('replies of Redis', () => {
  it('are read from one chunk', () => {
    expect(new ReplyReader().read(Buffer.from(STREAM)).map(textOf)).toEqual(REPLIES)
  })

  it('are read from chunks that end anywhere', () => {
    for (let size = 1; size < STREAM.length; size++) {
      const reader = new ReplyReader()
      const replies = []
      for (let at = 0; at < STREAM.length; at += size) {
        replies.push(...reader.read(Buffer.from(STREAM.slice(at, at + size))))
      }
      expect(replies.map(textOf)).toEqual(REPLIES)
    }
  })

  it('keep bytes that are no text', () => {
    const bytes = Buffer.from([0xff, 0x00, 0x0d, 0x0a])
    expect(
      new ReplyReader().read(Buffer.concat([Buffer.from('$4\r\n'), bytes, Buffer.from('\r\n')])),
    ).toEqual([bytes])
  })

  it('hold errors as values until they are read as text', () => {
    const [reply = null] = new ReplyReader().read(Buffer.from('*2\r\n:1\r\n-ERR no\r\n'))
    expect(reply).toEqual([1, expect.any(TestkitError)])
    expect(() => textOf(reply)).toThrow('ERR no')
  })

  it('are refused when the other side speaks another language', () => {
    expect(() => new ReplyReader().read(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))).toThrow('protocol')
  })
})
