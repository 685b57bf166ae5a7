import { describe, expect, it } from 'vitest'
import {
  type Bucket,
  type BucketSource,
  createStorage,
  defineUpload,
  memory,
  r2,
  type StorageOptions,
  s3,
} from '../../src/index.ts'

const credentials = { accessKeyId: 'id', secretAccessKey: 'key' }
const bucket = () => r2({ accountId: 'acc', bucket: 'bucket', credentials })
const storage = createStorage({ buckets: { files: bucket() } })
const files = storage.bucket('files')
const loose = <T>(value: unknown) => value as T

describe('options', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['no buckets', () => createStorage({ buckets: {} }), /buckets/],
    ['a bucket that is none', () => createStorage({ buckets: { a: loose<BucketSource>({}) } }), /buckets\.a/],
    [
      'a short ticket secret',
      () => createStorage({ buckets: { a: bucket() }, ticketSecret: 'x' }),
      /ticketSecret/,
    ],
    [
      'a budget below one part',
      () => createStorage({ buckets: { a: bucket() }, memoryBudget: 1 }),
      /memoryBudget/,
    ],
    [
      'a misspelt name',
      () => createStorage(loose<StorageOptions>({ buckets: { a: bucket() }, memorybudget: 1 })),
      /memoryBudget/,
    ],
    ['no account', () => r2(loose({ bucket: 'b', credentials })), /accountId/],
    [
      'an account that is a host',
      () => r2({ accountId: 'a.example/', bucket: 'bbb', credentials }),
      /accountId/,
    ],
    [
      'a jurisdiction of no such name',
      () => r2(loose({ accountId: 'a', bucket: 'bbb', credentials, jurisdiction: 'us' })),
      /jurisdiction/,
    ],
    ['no credentials', () => r2(loose({ accountId: 'a', bucket: 'bbb' })), /credentials/],
    [
      'an endpoint with a query',
      () => s3({ endpoint: 'https://x?y', bucket: 'bbb', credentials }),
      /endpoint/,
    ],
    [
      'an endpoint of another protocol',
      () => s3({ endpoint: 'ftp://x', bucket: 'bbb', credentials }),
      /endpoint/,
    ],
    ['a bucket with a slash', () => s3({ endpoint: 'https://x', bucket: 'a/b', credentials }), /bucket/],
    [
      'a timeout of nothing',
      () => s3({ endpoint: 'https://x', bucket: 'bbb', credentials, timeout: 0 }),
      /timeout/,
    ],
    [
      'a capability that is none',
      () =>
        s3({
          endpoint: 'https://x',
          bucket: 'bbb',
          credentials,
          capabilities: loose<object>({ conditionalcopy: true }),
        }),
      /conditionalCopy/,
    ],
    [
      'a capability that is neither true nor false',
      () =>
        s3({
          endpoint: 'https://x',
          bucket: 'bbb',
          credentials,
          capabilities: loose<object>({ conditionalCopy: 1 }),
        }),
      /conditionalCopy/,
    ],
    [
      'a public address with a query',
      () => r2({ accountId: 'a', bucket: 'bbb', credentials, publicBaseUrl: 'https://x/?a' }),
      /publicBaseUrl/,
    ],
    ['a public folder that nobody serves', () => memory({ public: true }), /url/],
    ['no attempts', () => s3({ endpoint: 'https://x', bucket: 'bbb', credentials, attempts: 0 }), /attempts/],
    ['a bucket of no such name', () => storage.bucket(loose('other') as 'files'), /bucket/],
    ['metadata with upper case', () => files.put('k', 'v', { metadata: { A: 'b' } }), /metadata/],
    ['metadata with a line break', () => files.put('k', 'v', { metadata: { a: 'b\r\nc' } }), /metadata/],
    ['too much metadata', () => files.put('k', 'v', { metadata: { a: 'b'.repeat(3_000) } }), /metadata/],
    ['a type with a line break', () => files.put('k', 'v', { contentType: 'a/b\r\nx: y' }), /contentType/],
    ['a negative size', () => files.put('k', 'v', { size: -1 }), /size/],
    ['an unknown option of put', () => files.put('k', 'v', loose({ contenttype: 'x' })), /contentType/],
    [
      'a range that ends before it starts',
      () => files.get('k', { range: { start: 5, end: 4 } }),
      /range\.end/,
    ],
    ['a URL for eight days', () => files.signedUrl('k', { expiresIn: '8d' }), /expiresIn/],
    ['a URL of half a second', () => files.signedUrl('k', { expiresIn: 500 }), /expiresIn/],
    [
      'an upload of SVG',
      () => defineUpload({ name: 'a', bucket: 'b', accept: ['image/svg+xml'], maxBytes: 1 }),
      /accept/,
    ],
    [
      'an upload of anything',
      () => defineUpload({ name: 'a', bucket: 'b', accept: ['*/*'], maxBytes: 1 }),
      /accept/,
    ],
    [
      'an upload without a limit',
      () => defineUpload(loose({ name: 'a', bucket: 'b', accept: ['image/png'] })),
      /maxBytes/,
    ],
    [
      'an upload into the quarantine',
      () =>
        defineUpload({ name: 'a', bucket: 'b', accept: ['image/png'], maxBytes: 1, prefix: 'quarantine/x' }),
      /prefix/,
    ],
  ])('are refused by name: %s', async (_, attempt, name) => {
    const failure = await Promise.resolve()
      .then(attempt)
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    expect(failure).toMatchObject({ code: 'STORAGE_ERR_OPTION', retryable: false })
    expect((failure as Error).message).toMatch(name)
  })

  it('that are secret are never in a message', () => {
    try {
      createStorage({ buckets: { a: bucket() }, ticketSecret: 'hunter2' })
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain('hunter2')
    }
  })

  it('name the endpoint of an account and of its jurisdiction', () => {
    const host = (options: object) =>
      new URL(
        createStorage({ buckets: { a: r2({ accountId: 'acc', bucket: 'bbb', credentials, ...options }) } })
          .bucket('a')
          .signedUrl('k'),
      ).host
    expect(host({})).toBe('acc.r2.cloudflarestorage.com')
    expect(host({ jurisdiction: 'eu' })).toBe('acc.eu.r2.cloudflarestorage.com')
  })

  it('give a public bucket its URLs, with every key encoded, and take no uploads into it', () => {
    const bucketAt = (publicBaseUrl: string) =>
      createStorage({
        buckets: { media: r2({ accountId: 'acc', bucket: 'bbb', credentials, publicBaseUrl }) },
        ticketSecret: 'x'.repeat(32),
      })
    const media = bucketAt('https://cdn.example.com/').bucket('media')
    expect(media.publicUrl('variants/a.webp')).toBe('https://cdn.example.com/variants/a.webp')
    const key = "a b/ü?#&+%'()*!~日本.png"
    const url = media.publicUrl(key)
    expect(url).toBe(
      'https://cdn.example.com/a%20b/%C3%BC%3F%23%26%2B%25%27%28%29%2A%21~%E6%97%A5%E6%9C%AC.png',
    )
    expect(decodeURIComponent(new URL(url).pathname)).toBe(`/${key}`)
    expect(bucketAt('https://example.com/cdn').bucket('media').publicUrl('k')).toBe(
      'https://example.com/cdn/k',
    )
    for (const key of ['../a', 'quarantine/1-a', 'a//b']) {
      expect(() => media.publicUrl(key)).toThrowError(expect.objectContaining({ code: 'STORAGE_ERR_KEY' }))
    }
    const definition = defineUpload({ name: 'u', bucket: 'media', accept: ['image/png'], maxBytes: 10 })
    expect(() =>
      bucketAt('https://cdn.example.com').uploads.issue(definition, {
        subject: 's',
        name: 'n',
        size: 1,
        type: 'image/png',
      }),
    ).toThrowError(expect.objectContaining({ code: 'STORAGE_ERR_UNSUPPORTED' }))
  })

  it('of a provider that cannot do what they ask are refused before any I/O', () => {
    const poor = createStorage({
      buckets: {
        a: s3({
          endpoint: 'http://127.0.0.1:9',
          bucket: 'bbb',
          credentials,
          capabilities: { conditionalPut: false, conditionalCopy: false, signedUrls: false },
        }),
      },
      ticketSecret: 'x'.repeat(32),
    })
    const definition = defineUpload({ name: 'u', bucket: 'a', accept: ['image/png'], maxBytes: 10 })
    const refused = expect.objectContaining({ code: 'STORAGE_ERR_UNSUPPORTED' })
    // As a bucket of any provider: the compiler refuses what it can know.
    const bucket: Bucket = poor.bucket('a')
    expect(() => bucket.put('k', 'v', { ifNoneMatch: '*' })).toThrowError(refused)
    expect(() => bucket.put('k', 'v', { ifMatch: 'x' })).toThrowError(refused)
    expect(() => bucket.copy('k', 'l', { ifMatch: 'x' })).toThrowError(refused)
    expect(() => bucket.signedUrl('k')).toThrowError(refused)
    expect(() => bucket.publicUrl('k')).toThrowError(refused)
    expect(() => bucket.grant({ prefix: 'a/' })).toThrowError(refused)
    expect(() =>
      poor.uploads.issue(definition, { subject: 's', name: 'n', size: 1, type: 'image/png' }),
    ).toThrowError(refused)
  })
})
