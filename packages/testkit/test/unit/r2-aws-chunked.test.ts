import { describe, expect, test } from 'vitest'
import { decodeAwsChunked } from '../../src/r2-aws-chunked.ts'

async function decode(text: string, { pieces = 5, trailer = true } = {}) {
  async function* source() {
    for (let i = 0; i < text.length; i += pieces) yield Buffer.from(text.slice(i, i + pieces))
  }
  const trailers = new Map<string, string>()
  const chunks: Buffer[] = []
  for await (const piece of decodeAwsChunked(source(), { signature: undefined, trailer, trailers }))
    chunks.push(piece)
  return { content: Buffer.concat(chunks).toString(), trailers: Object.fromEntries(trailers) }
}

describe('unsigned chunks', () => {
  test.each([1, 2, 3, 64])('are read in pieces of %d bytes', async (pieces) => {
    const body = '4\r\nwiki\r\n6\r\npedia \r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'
    expect(await decode(body, { pieces })).toEqual({
      content: 'wikipedia ',
      trailers: { 'x-amz-checksum-crc32': 'AAAAAA==' },
    })
  })

  test('end with or without a last line break', async () => {
    expect((await decode('1\r\na\r\n0\r\n\r\n', { trailer: false })).content).toBe('a')
    expect((await decode('1\r\na\r\n0\r\n', { trailer: false })).content).toBe('a')
    expect((await decode('1\r\na\r\n0\r\nb:c\r\n')).trailers).toEqual({ b: 'c' })
  })

  test.each([
    ['no size', '\r\na\r\n0\r\n\r\n'],
    ['a size that is no number', 'zz\r\na\r\n0\r\n\r\n'],
    ['a negative size', '-1\r\na\r\n0\r\n\r\n'],
    ['a size too long for a number', `${'f'.repeat(13)}\r\na\r\n0\r\n\r\n`],
    ['a line without end', 'a'.repeat(2000)],
    ['a chunk shorter than its size', '5\r\nab'],
    ['a chunk longer than its size', '1\r\nab\r\n0\r\n\r\n'],
    ['no last chunk', '1\r\na\r\n'],
    ['something after the end', '1\r\na\r\n0\r\nb:c\r\n\r\n1\r\na\r\n'],
    ['a trailer that is no header', '0\r\nnonsense\r\n\r\n'],
    ['too many trailers', `0\r\n${'a:b\r\n'.repeat(20)}\r\n`],
  ])('with %s are refused', async (_, body) => {
    await expect(decode(body)).rejects.toThrow(/malformed|ended before/)
  })
})
