import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { describe, expect, it } from 'vitest'
import { Presigner } from '../../src/presign.ts'

describe('the presigner', () => {
  it("gives the signature of AWS's own example", () => {
    // "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)": the example there names the
    // bucket in the host.
    const signer = new Presigner('https://examplebucket.s3.amazonaws.com', '', 'us-east-1', {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    })
    const request = { method: 'GET', key: 'test.txt', expires: 86_400 } as const
    const url = signer.sign(request, Date.parse('2013-05-24T00:00:00Z'))
    expect(new URL(url).searchParams.get('X-Amz-Signature')).toBe(
      'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })

  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  // The soak asks for 100,000.
  const requests = Number(process.env.CAYS_SIGNATURES ?? 2_000)
  it(`gives the URLs of the AWS SDK for ${requests} random requests (seed ${seed})`, {
    timeout: 60_000 + requests * 30,
  }, async () => {
    let state = seed
    const below = (limit: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
      return Math.floor((state / 0x80000000) * limit)
    }
    const alphabet = Array.from('abcXYZ019-_.~!*\'()+ &=?#%:;,@$[]{}|^`<>"/äß日本🏝é')
    const text = (length: number) => Array.from({ length }, () => alphabet[below(alphabet.length)]).join('')
    const keyOf = () => {
      const key = text(1 + below(40))
        .replace(/\/+/g, '/')
        .replace(/^\/|\/$/g, '')
      return key.split('/').some((segment) => ['', '.', '..'].includes(segment)) ? 'plain' : key
    }
    const endpoints = [
      'https://acc.r2.cloudflarestorage.com',
      'http://127.0.0.1:9000',
      'https://s3.example.com:8443',
    ]
    for (let round = 0; round < requests / 50; round++) {
      const credentials = {
        accessKeyId: `AK${below(1e6)}`,
        secretAccessKey: text(40),
        ...(below(2) ? { sessionToken: `${text(60)}=` } : {}),
      }
      const endpoint = endpoints[below(3)] ?? ''
      const region = ['auto', 'us-east-1'][below(2)] ?? ''
      const client = new S3Client({
        endpoint,
        region,
        credentials,
        forcePathStyle: true,
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      })
      const signer = new Presigner(endpoint, 'bucket-1', region, credentials)
      for (let each = 0; each < 50; each++) {
        const now = 1.6e12 + below(2e9) * 100
        const key = keyOf()
        const expires = 1 + below(604_800)
        const options = { expiresIn: expires, signingDate: new Date(now) }
        const base = { Bucket: 'bucket-1', Key: key }
        const kind = below(3)
        if (kind === 0) {
          const disposition = text(20)
          const theirs = await getSignedUrl(
            client,
            new GetObjectCommand({ ...base, ResponseContentDisposition: disposition }),
            options,
          )
          const query = { 'response-content-disposition': disposition, 'x-id': 'GetObject' }
          const ours = signer.sign({ method: 'GET', key, expires, query: withHash(theirs, query) }, now)
          expect(inOrder(ours)).toBe(inOrder(theirs))
        } else if (kind === 1) {
          const theirs = await getSignedUrl(client, new HeadObjectCommand(base), options)
          const ours = signer.sign({ method: 'HEAD', key, expires, query: withHash(theirs, {}) }, now)
          expect(inOrder(ours)).toBe(inOrder(theirs))
        } else {
          const size = below(1e9)
          const theirs = await getSignedUrl(
            client,
            new PutObjectCommand({
              ...base,
              ContentType: 'application/pdf',
              ContentLength: size,
              IfNoneMatch: '*',
            }),
            {
              ...options,
              signableHeaders: new Set(['content-type', 'content-length', 'if-none-match']),
              unhoistableHeaders: new Set(['if-none-match']),
            },
          )
          const headers = {
            'content-type': 'application/pdf',
            'content-length': String(size),
            'if-none-match': '*',
          }
          const query = withHash(theirs, { 'x-id': 'PutObject' })
          const ours = signer.sign({ method: 'PUT', key, expires, headers, query }, now)
          expect(inOrder(ours)).toBe(inOrder(theirs))
        }
      }
      client.destroy()
    }
  })

  it('derives the key of a day once, and anew on the next day', () => {
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
    const signer = new Presigner('https://s3.example.com', 'bucket', 'auto', credentials)
    for (const day of ['2026-01-01T23:59:59Z', '2026-01-02T00:00:00Z', '2026-01-01T23:59:59Z']) {
      const request = { method: 'GET', key: 'k', expires: 60 } as const
      const fresh = new Presigner('https://s3.example.com', 'bucket', 'auto', credentials)
      expect(signer.sign(request, Date.parse(day))).toBe(fresh.sign(request, Date.parse(day)))
    }
  })
})

/** What the SDK adds to its own URLs, to be signed by ours too. */
function withHash(theirs: string, query: Record<string, string>): Record<string, string> {
  const { searchParams } = new URL(theirs)
  const added = Object.fromEntries(
    [...searchParams].filter(([name]) => name === 'X-Amz-Content-Sha256' || name === 'x-amz-user-agent'),
  )
  return { ...query, ...added }
}

/** The URL with its parameters sorted, else letter by letter as it is. */
function inOrder(url: string): string {
  const [path, query = ''] = url.split('?')
  return `${path}?${query.split('&').sort().join('&')}`
}
