import { describe, expect, it } from 'vitest'
import {
  type BucketSource,
  createStorage,
  defineUpload,
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
    ['no attempts', () => s3({ endpoint: 'https://x', bucket: 'bbb', credentials, attempts: 0 }), /attempts/],
    ['a bucket of no such name', () => storage.bucket(loose('other')), /bucket/],
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
    expect(() => poor.bucket('a').put('k', 'v', { ifNoneMatch: '*' })).toThrowError(refused)
    expect(() => poor.bucket('a').copy('k', 'l', { ifMatch: 'x' })).toThrowError(refused)
    expect(() => poor.bucket('a').signedUrl('k')).toThrowError(refused)
    expect(() =>
      poor.uploads.issue(definition, { subject: 's', name: 'n', size: 1, type: 'image/png' }),
    ).toThrowError(refused)
  })
})
