import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decodeAwsChunked } from '../../src/r2-aws-chunked.ts'
import { R2Headers } from '../../src/r2-headers.ts'
import { readClaim, verifySignature } from '../../src/r2-signature.ts'
import { parseTarget } from '../../src/r2-uri.ts'

// The worked examples of AWS's documentation of Signature Version 4 for S3.
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const CREDENTIAL = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request'
const NOW = Date.parse('2013-05-24T00:00:00Z')
const EMPTY = createHash('sha256').digest('hex')

function verify(method: string, target: string, headers: Record<string, string>, now = NOW) {
  const parsed = parseTarget(target, headers.host ?? '')
  const given = new R2Headers({ rawHeaders: Object.entries(headers).flat() })
  return verifySignature(method, parsed, given, readClaim(parsed, given), SECRET, now)
}

function authorization(signedHeaders: string, signature: string): string {
  return `AWS4-HMAC-SHA256 Credential=${CREDENTIAL},SignedHeaders=${signedHeaders},Signature=${signature}`
}

const getObject = {
  host: 'examplebucket.s3.amazonaws.com',
  range: 'bytes=0-9',
  'x-amz-content-sha256': EMPTY,
  'x-amz-date': '20130524T000000Z',
  authorization: authorization(
    'host;range;x-amz-content-sha256;x-amz-date',
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ),
}

const presigned =
  `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(CREDENTIAL)}` +
  '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
  '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404'
const presignedHeaders = { host: 'examplebucket.s3.amazonaws.com' }

describe('signatures in headers', () => {
  test('the GET of the documentation is accepted', () => {
    expect(() => verify('GET', '/test.txt', getObject)).not.toThrow()
  })

  test('the PUT of the documentation, with a key that needs encoding, is accepted', () => {
    const signed = 'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class'
    expect(() =>
      verify('PUT', '/test%24file.text', {
        host: 'examplebucket.s3.amazonaws.com',
        date: 'Fri, 24 May 2013 00:00:00 GMT',
        'x-amz-date': '20130524T000000Z',
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
        authorization: authorization(
          signed,
          '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
        ),
      }),
    ).not.toThrow()
  })

  test('the listing of the documentation, with a query, is accepted', () => {
    const signed = 'host;x-amz-content-sha256;x-amz-date'
    const headers = {
      host: 'examplebucket.s3.amazonaws.com',
      'x-amz-date': '20130524T000000Z',
      'x-amz-content-sha256': EMPTY,
      authorization: authorization(
        signed,
        '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      ),
    }
    expect(() => verify('GET', '/?max-keys=2&prefix=J', headers)).not.toThrow()
    expect(() => verify('GET', '/?prefix=J&max-keys=2', headers)).not.toThrow()
    expect(() => verify('GET', '/?max-keys=3&prefix=J', headers)).toThrow(/signature/)
  })

  test.each([
    ['another method', 'DELETE', '/test.txt', {}],
    ['another path', 'GET', '/test.tx', {}],
    ['a query', 'GET', '/test.txt?acl', {}],
    ['another signed header', 'GET', '/test.txt', { range: 'bytes=0-99' }],
    ['another host', 'GET', '/test.txt', { host: 'other.s3.amazonaws.com' }],
    ['another payload', 'GET', '/test.txt', { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }],
  ])('%s is refused', (_, method, target, headers) => {
    expect(() => verify(method, target, { ...getObject, ...headers })).toThrow(/signature does not match/)
  })

  test('an x-amz header that is not signed is refused', () => {
    expect(() => verify('GET', '/test.txt', { ...getObject, 'x-amz-meta-a': '1' })).toThrow(/not signed/)
  })

  test('a signed header that is missing is refused', () => {
    const { range: _, ...rest } = getObject
    expect(() => verify('GET', '/test.txt', rest)).toThrow(/missing/)
  })

  test.each(['', 'nonsense', EMPTY.toUpperCase(), 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD'])(
    'a payload hash of %j is refused',
    (hash) => {
      expect(() => verify('GET', '/test.txt', { ...getObject, 'x-amz-content-sha256': hash })).toThrow(
        /neither/,
      )
    },
  )

  test('a clock 15 minutes off is accepted, a second more is refused', () => {
    expect(() => verify('GET', '/test.txt', getObject, NOW + 900_000)).not.toThrow()
    expect(() => verify('GET', '/test.txt', getObject, NOW + 901_000)).toThrow(/clocks/)
    expect(() => verify('GET', '/test.txt', getObject, NOW - 901_000)).toThrow(/clocks/)
  })

  test.each([
    ['nothing', undefined],
    ['another scheme', 'Bearer abc'],
    ['a short signature', authorization('host', 'abc')],
    ['another service', authorization('host', '0'.repeat(64)).replace('/s3/', '/ec2/')],
    ['another date', authorization('host', '0'.repeat(64)).replace('20130524', '20130525')],
    ['another region', authorization('host', '0'.repeat(64)).replace('us-east-1', 'us-west-2')],
  ])('an authorization of %s is refused', (_, value) => {
    const { authorization: __, ...rest } = getObject
    const headers = value === undefined ? rest : { ...rest, authorization: value }
    expect(() => verify('GET', '/test.txt', headers)).toThrow()
  })

  test('a header signature beside a query signature is refused', () => {
    expect(() => verify('GET', presigned, getObject)).toThrow(/not in both/)
  })
})

describe('signatures in URLs', () => {
  test('the presigned URL of the documentation is accepted until it expires', () => {
    expect(() => verify('GET', presigned, presignedHeaders)).not.toThrow()
    expect(() => verify('GET', presigned, presignedHeaders, NOW + 86_399_000)).not.toThrow()
    expect(() => verify('GET', presigned, presignedHeaders, NOW + 86_400_000)).toThrow(/expired/)
  })

  test.each(['0', '604801', '-1', '1e3', ''])('an expiry of %j is refused', (expires) => {
    const target = presigned.replace('X-Amz-Expires=86400', `X-Amz-Expires=${expires}`)
    expect(() => verify('GET', target, presignedHeaders)).toThrow(/1 second to 7 days/)
  })

  test('a parameter that was added or given twice is refused', () => {
    expect(() => verify('GET', `${presigned}&versionId=1`, presignedHeaders)).toThrow(/signature/)
    expect(() => verify('GET', `${presigned}&X-Amz-Expires=1`, presignedHeaders)).toThrow(/twice/)
  })
})

describe('chunk signatures', () => {
  const headers = {
    host: 's3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '66560',
    'content-length': '66824',
    authorization: authorization(
      'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
      '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    ),
  }
  const chunk = (size: number, signature: string) =>
    `${size.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(size)}\r\n`
  const body =
    chunk(65_536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
    chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
    chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9')

  async function decode(text: string, pieces = 1000) {
    const signature = verify('PUT', '/examplebucket/chunkObject.txt', headers)
    async function* source() {
      for (let i = 0; i < text.length; i += pieces) yield Buffer.from(text.slice(i, i + pieces), 'latin1')
    }
    const chunks: Buffer[] = []
    const options = { signature, trailer: false, trailers: new Map() }
    for await (const piece of decodeAwsChunked(source(), options)) chunks.push(piece)
    return Buffer.concat(chunks).toString('latin1')
  }

  test('the upload of the documentation is accepted, however it is cut', async () => {
    const content = 'a'.repeat(66_560)
    expect(await decode(body)).toBe(content)
    expect(await decode(body, 7)).toBe(content)
    expect(await decode(body, 100_000)).toBe(content)
  })

  test('a changed byte, a changed order and a missing end are refused', async () => {
    await expect(decode(body.replace('aaaa', 'aaab'))).rejects.toThrow(/signature of a chunk/)
    await expect(decode(body.slice(0, 65_700))).rejects.toThrow(/ended before|malformed/)
    await expect(decode(`${body}x`)).rejects.toThrow(/ended before|malformed/)
    await expect(decode(body.replaceAll(/;chunk-signature=\w+/g, ''))).rejects.toThrow(/signature of a chunk/)
  })

  test('the trailer of the documentation is accepted, another is refused', async () => {
    const trailing = {
      ...headers,
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      'x-amz-trailer': 'x-amz-checksum-crc32c',
      authorization: authorization(
        'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
        '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
      ),
    }
    const { 'content-length': _, ...given } = trailing
    const upload =
      chunk(65_536, 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2') +
      chunk(1024, '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7') +
      '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n' +
      'x-amz-checksum-crc32c:sOO8/Q==\r\n' +
      'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n'
    const read = async (text: string) => {
      const signature = verify('PUT', '/examplebucket/chunkObject.txt', given)
      const trailers = new Map<string, string>()
      async function* source() {
        yield Buffer.from(text)
      }
      for await (const _piece of decodeAwsChunked(source(), { signature, trailer: true, trailers }));
      return Object.fromEntries(trailers)
    }
    expect(await read(upload)).toEqual({ 'x-amz-checksum-crc32c': 'sOO8/Q==' })
    await expect(read(upload.replace('sOO8', 'sOO9'))).rejects.toThrow(/signature/)
    await expect(read(upload.replace(/x-amz-trailer-signature.*\r\n/, ''))).rejects.toThrow(/signature/)
  })
})
