import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketCorsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal, S3Clients, type S3Subject } from './s3-subject.ts'

export interface S3SuiteOptions {
  readonly name: string
  readonly start: () => Promise<S3Subject>
  /** Titles of checks this server is known to fail, with the reason; a check that passes all the same fails the suite. */
  readonly differences?: Readonly<Record<string, string>>
}

const PART = 5 * 1024 * 1024

/** Ceph leaves the quotes out in some of its XML. */
const quoted = (etag: string | undefined) => `"${etag?.replaceAll('"', '')}"`

/** Checks what an S3 server does against what R2 documents, through the AWS SDK and through plain presigned URLs. */
export function s3Conformance({ name, start, differences = {} }: S3SuiteOptions): void {
  describe(name, () => {
    const Bucket = `conformance-${randomBytes(4).toString('hex')}`
    const unused = new Set(Object.keys(differences))
    let subject: S3Subject
    let clients: S3Clients
    let s3: S3Client
    let counter = 0

    beforeAll(async () => {
      subject = await start()
      clients = new S3Clients(subject)
      s3 = clients.make()
      await s3.send(new CreateBucketCommand({ Bucket }))
    })
    afterAll(async () => {
      clients?.close()
      await subject?.close()
      expect([...unused], 'declared differences that name no check').toEqual([])
    })

    const check = (title: string, run: () => Promise<void>) => {
      unused.delete(title)
      if (title in differences) test.fails(`${title} (not here: ${differences[title]})`, run)
      else test(title, run)
    }
    const newKey = (label = 'k') => `${label}-${++counter}`
    const put = (Key: string, Body: string | Buffer, more: Partial<PutObjectCommandInput> = {}) =>
      s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
    const get = (Key: string, more: Partial<GetObjectCommandInput> = {}) =>
      s3.send(new GetObjectCommand({ Bucket, Key, ...more }))
    const text = async (Key: string, more: Partial<GetObjectCommandInput> = {}) =>
      (await (await get(Key, more)).Body?.transformToString()) ?? ''
    const head = (Key: string) => s3.send(new HeadObjectCommand({ Bucket, Key }))
    const etagOf = async (Key: string) => (await head(Key)).ETag ?? ''
    const keysUnder = async (Prefix: string) =>
      (await s3.send(new ListObjectsV2Command({ Bucket, Prefix }))).Contents?.map(({ Key }) => Key) ?? []
    const signed = (
      command: PutObjectCommand | GetObjectCommand,
      { headers = [], expiresIn = 300, at }: { headers?: string[]; expiresIn?: number; at?: Date } = {},
    ) =>
      getSignedUrl(s3, command, {
        expiresIn,
        signableHeaders: new Set(headers),
        unhoistableHeaders: new Set(headers),
        ...(at === undefined ? {} : { signingDate: at }),
      })
    const send = (url: string, body: string, headers: Record<string, string> = {}) =>
      fetch(url, { method: 'PUT', body, headers })
    const errorCode = async (response: Response) => /<Code>(\w+)</.exec(await response.text())?.[1]

    describe('objects', () => {
      check('gives back what was put', async () => {
        const key = newKey()
        const bytes = randomBytes(100_000)
        await put(key, bytes)
        expect(Buffer.from((await (await get(key)).Body?.transformToByteArray()) ?? [])).toEqual(bytes)
      })

      check('keeps an empty object', async () => {
        const key = newKey()
        await put(key, '')
        expect((await head(key)).ContentLength).toBe(0)
        expect(await text(key)).toBe('')
      })

      check('has the MD5 of the content as ETag', async () => {
        const key = newKey()
        const { ETag } = await put(key, 'hello')
        expect(ETag).toBe(`"${createHash('md5').update('hello').digest('hex')}"`)
        expect(await etagOf(key)).toBe(ETag)
      })

      check('replaces an object as a whole', async () => {
        const key = newKey()
        await put(key, 'first, and longer', { Metadata: { a: '1' } })
        await put(key, 'second')
        expect(await text(key)).toBe('second')
        expect((await head(key)).Metadata).toEqual({})
      })

      check('takes a stream of known length without a checksum', async () => {
        const key = newKey()
        const Body = Readable.from([Buffer.alloc(70_000, 'a'), Buffer.alloc(70_000, 'b')])
        await s3.send(new PutObjectCommand({ Bucket, Key: key, Body, ContentLength: 140_000 }))
        expect((await head(key)).ContentLength).toBe(140_000)
      })

      check('takes a buffer with the CRC32 that the SDK adds by default', async () => {
        const key = newKey()
        const client = clients.make({ requestChecksumCalculation: 'WHEN_SUPPORTED' })
        await client.send(new PutObjectCommand({ Bucket, Key: key, Body: 'sum' }))
        expect(await text(key)).toBe('sum')
      })

      check('takes an aws-chunked stream with a trailing checksum', async () => {
        const key = newKey()
        const client = clients.make({ requestChecksumCalculation: 'WHEN_SUPPORTED' })
        const Body = Readable.from([Buffer.alloc(70_000, 'a'), Buffer.alloc(70_000, 'b')])
        await client.send(new PutObjectCommand({ Bucket, Key: key, Body, ContentLength: 140_000 }))
        expect((await text(key)).length).toBe(140_000)
      })

      check('keeps type, metadata and the other content headers', async () => {
        const key = newKey()
        const kept = {
          ContentType: 'text/csv',
          CacheControl: 'private, max-age=60',
          ContentDisposition: 'attachment; filename="a  b.csv"',
          ContentEncoding: 'gzip',
          ContentLanguage: 'en-BS',
          Metadata: { owner: 'u-1', note: 'two  words' },
        }
        await put(key, 'x', kept)
        expect(await head(key)).toMatchObject({
          ...kept,
          Metadata: { owner: 'u-1', note: expect.any(String) },
        })
      })

      check('says NoSuchKey for a missing object', async () => {
        expect(await refusal(get('missing'))).toEqual({ name: 'NoSuchKey', status: 404 })
        expect((await refusal(head('missing'))).status).toBe(404)
      })

      check('says NoSuchBucket for a missing bucket', async () => {
        const missing = s3.send(new GetObjectCommand({ Bucket: 'no-such-bucket', Key: 'a' }))
        expect(await refusal(missing)).toEqual({ name: 'NoSuchBucket', status: 404 })
      })

      check('deletes, also what is not there', async () => {
        const key = newKey()
        await put(key, 'x')
        await s3.send(new DeleteObjectCommand({ Bucket, Key: key }))
        const again = await s3.send(new DeleteObjectCommand({ Bucket, Key: key }))
        expect(again.$metadata.httpStatusCode).toBe(204)
        expect((await refusal(head(key))).status).toBe(404)
      })

      check('deletes many and tells each', async () => {
        const keys = [newKey('many'), newKey('many & <more>'), newKey('many "quoted"')]
        for (const key of keys) await put(key, 'x')
        const Objects = [...keys, 'never-was'].map((Key) => ({ Key }))
        const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
        expect(Deleted?.map(({ Key }) => Key).sort()).toEqual([...keys, 'never-was'].sort())
        expect(Errors ?? []).toEqual([])
        expect(await keysUnder('many')).toEqual([])
      })

      check('deletes many quietly', async () => {
        const key = newKey()
        await put(key, 'x')
        const Delete = { Objects: [{ Key: key }], Quiet: true }
        const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete }))
        expect([Deleted ?? [], Errors ?? []]).toEqual([[], []])
      })
    })

    describe('keys', () => {
      const odd = [
        'with space and  two',
        'plus+and%2Bpercent%',
        'quotes\'"`',
        'brackets(){}[]<>',
        'query?a=b&c=d#hash',
        "!*'();:@&=$,~",
        'Bahamas/Nassau/Ünïcödé/日本語/🏝️',
        'double//slash///triple',
        '/leading/slash',
        'trailing/slash/',
        'dots/../../up/./here',
        '%2e%2e/encoded',
        'back\\slash',
        'tab\tand\u00a0nbsp',
        `long-${'x'.repeat(1019)}`,
      ]
      for (const key of odd) {
        check(`stores, lists, presigns and deletes ${JSON.stringify(key.slice(0, 40))}`, async () => {
          await put(key, 'odd')
          expect(await text(key)).toBe('odd')
          const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: key }))
          expect(Contents?.map(({ Key }) => Key)).toContain(key)
          const response = await fetch(await signed(new GetObjectCommand({ Bucket, Key: key })))
          // URL parsers of clients resolve dot segments, after which the signature is for another path.
          if (!/(^|\/)(\.|%2e){1,2}(\/|$)/.test(key)) expect(await response.text()).toBe('odd')
          await s3.send(new DeleteObjectCommand({ Bucket, Key: key }))
          expect((await refusal(head(key))).status).toBe(404)
        })
      }

      check('refuses a key of 1,025 bytes', async () => {
        expect((await refusal(put(`${'ü'.repeat(512)}x`, 'x'))).status).toBe(400)
      })

      check('takes keys that differ only in Unicode composition as one', async () => {
        await put('H\u00e9llo', 'composed')
        await put('He\u0301llo', 'decomposed')
        expect(await text('H\u00e9llo')).toBe('decomposed')
        expect(await keysUnder('H')).toEqual(['He\u0301llo'])
      })

      check('refuses custom metadata over 8,192 bytes', async () => {
        expect((await refusal(put(newKey(), 'x', { Metadata: { a: 'x'.repeat(8200) } }))).status).toBe(400)
        await put(newKey(), 'x', { Metadata: { a: 'x'.repeat(8000) } })
      })
    })

    describe('reading parts', () => {
      const key = 'ranges'
      beforeAll(async () => {
        await put(key, '0123456789')
      })
      const cases = [
        ['bytes=0-3', '0123', 'bytes 0-3/10'],
        ['bytes=7-', '789', 'bytes 7-9/10'],
        ['bytes=-4', '6789', 'bytes 6-9/10'],
        ['bytes=8-100', '89', 'bytes 8-9/10'],
        ['bytes=-100', '0123456789', 'bytes 0-9/10'],
      ] as const
      for (const [range, content, contentRange] of cases) {
        check(`answers ${range} with 206`, async () => {
          const reply = await get(key, { Range: range })
          expect(reply.$metadata.httpStatusCode).toBe(206)
          expect(reply.ContentRange).toBe(contentRange)
          expect(await reply.Body?.transformToString()).toBe(content)
        })
      }

      check('answers a range behind the end with 416', async () => {
        expect(await refusal(get(key, { Range: 'bytes=10-12' }))).toEqual({
          name: 'InvalidRange',
          status: 416,
        })
      })

      check('ignores a range that is none', async () => {
        expect(await text(key, { Range: 'lines=1-2' })).toBe('0123456789')
      })

      check('answers 304 when the ETag is known', async () => {
        expect((await refusal(get(key, { IfNoneMatch: await etagOf(key) }))).status).toBe(304)
        expect(await text(key, { IfNoneMatch: '"other"' })).toBe('0123456789')
      })

      check('answers 412 when the ETag is another', async () => {
        expect((await refusal(get(key, { IfMatch: '"other"' }))).status).toBe(412)
        expect(await text(key, { IfMatch: await etagOf(key) })).toBe('0123456789')
      })

      check('knows conditions on time', async () => {
        const later = new Date(Date.now() + 60_000)
        const earlier = new Date(Date.now() - 3_600_000)
        expect((await refusal(get(key, { IfModifiedSince: later }))).status).toBe(304)
        expect((await refusal(get(key, { IfUnmodifiedSince: earlier }))).status).toBe(412)
        expect(await text(key, { IfModifiedSince: earlier, IfUnmodifiedSince: later })).toBe('0123456789')
      })
    })

    describe('conditional writes', () => {
      check('puts with If-None-Match * only where nothing is', async () => {
        const key = newKey()
        await put(key, 'first', { IfNoneMatch: '*' })
        expect(await refusal(put(key, 'second', { IfNoneMatch: '*' }))).toEqual({
          name: 'PreconditionFailed',
          status: 412,
        })
        expect(await text(key)).toBe('first')
      })

      check('lets one of ten racing If-None-Match * puts win', async () => {
        const key = newKey()
        const bodies = Array.from({ length: 10 }, (_, index) => `body ${index}`)
        const results = await Promise.allSettled(bodies.map((body) => put(key, body, { IfNoneMatch: '*' })))
        const winners = bodies.filter((_, index) => results[index]?.status === 'fulfilled')
        expect(winners).toHaveLength(1)
        expect(await text(key)).toBe(winners[0])
      })

      check('refuses a put whose If-Match is another ETag', async () => {
        const key = newKey()
        await put(key, 'first')
        expect((await refusal(put(key, 'second', { IfMatch: `"${'0'.repeat(32)}"` }))).status).toBe(412)
        expect(await text(key)).toBe('first')
      })

      check('puts with the right If-Match', async () => {
        const key = newKey()
        const { ETag } = await put(key, 'first')
        await put(key, 'second', { IfMatch: ETag })
        expect(await text(key)).toBe('second')
      })

      check('puts with the right If-Match without quotes', async () => {
        const key = newKey()
        const { ETag } = await put(key, 'first')
        await put(key, 'second', { IfMatch: ETag?.replaceAll('"', '') })
        expect(await text(key)).toBe('second')
      })

      check('lets one of ten racing updates of the same version win', async () => {
        const key = newKey()
        const ETag = (await put(key, 'first')).ETag?.replaceAll('"', '')
        const updates = Array.from({ length: 10 }, (_, index) =>
          put(key, `update ${index}`, { IfMatch: ETag }),
        )
        const results = await Promise.allSettled(updates)
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      })
    })

    describe('checksums', () => {
      const algorithms: readonly ChecksumAlgorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']
      for (const ChecksumAlgorithm of algorithms) {
        check(`verifies ${ChecksumAlgorithm} and tells it`, async () => {
          const key = newKey()
          const Body = 'what is summed'
          const field = `Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32'
          const sum =
            (await s3.send(new PutObjectCommand({ Bucket, Key: key, Body, ChecksumAlgorithm })))[field] ?? ''
          expect(sum).not.toBe('')
          const shown = await s3.send(new HeadObjectCommand({ Bucket, Key: key, ChecksumMode: 'ENABLED' }))
          expect(shown[field]).toBe(sum)
          const wrong = put(key, `${Body}!`, { [field]: sum })
          expect(await refusal(wrong)).toEqual({ name: 'BadDigest', status: 400 })
          expect(await text(key)).toBe(Body)
        })
      }

      check('verifies Content-MD5', async () => {
        const key = newKey()
        const ContentMD5 = createHash('md5').update('right').digest('base64')
        await put(key, 'right', { ContentMD5 })
        expect(await refusal(put(key, 'wrong', { ContentMD5 }))).toEqual({ name: 'BadDigest', status: 400 })
        expect(await text(key)).toBe('right')
      })

      check('refuses a malformed Content-MD5', async () => {
        expect(await refusal(put(newKey(), 'x', { ContentMD5: 'AAAA' }))).toEqual({
          name: 'InvalidDigest',
          status: 400,
        })
      })

      check('refuses two checksums on one request', async () => {
        const both = {
          ContentMD5: createHash('md5').update('x').digest('base64'),
          ChecksumSHA256: createHash('sha256').update('x').digest('base64'),
        }
        expect((await refusal(put(newKey(), 'x', both))).status).toBe(400)
      })
    })

    describe('listing', () => {
      const keys = ['a/1', 'a/2', 'a/b/3', 'b', 'c/4', 'c/5', 'd'].map((key) => `list/${key}`)
      beforeAll(async () => {
        await Promise.all(keys.map((key) => put(key, 'x')))
      })
      const page = (more: object) =>
        s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/', ...more })).then((reply) => ({
          keys: reply.Contents?.map(({ Key }) => Key) ?? [],
          prefixes: reply.CommonPrefixes?.map(({ Prefix }) => Prefix) ?? [],
          truncated: reply.IsTruncated,
          count: reply.KeyCount,
          next: reply.NextContinuationToken,
        }))

      check('lists in order with size and ETag', async () => {
        const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/' }))
        expect(Contents?.map(({ Key }) => Key)).toEqual(keys)
        expect(Contents?.[0]).toMatchObject({ Size: 1, ETag: await etagOf('list/a/1') })
      })

      check('pages', async () => {
        const seen: (string | undefined)[] = []
        let ContinuationToken: string | undefined
        do {
          const reply = await page({ MaxKeys: 2, ContinuationToken })
          expect(reply.keys.length).toBeLessThanOrEqual(2)
          expect(reply.truncated).toBe(reply.next !== undefined)
          seen.push(...reply.keys)
          ContinuationToken = reply.next
        } while (ContinuationToken !== undefined)
        expect(seen).toEqual(keys)
      })

      check('rolls up at a delimiter', async () => {
        expect(await page({ Delimiter: '/' })).toMatchObject({
          keys: ['list/b', 'list/d'],
          prefixes: ['list/a/', 'list/c/'],
          count: 4,
        })
      })

      check('pages through rolled up prefixes', async () => {
        const seen: (string | undefined)[] = []
        let ContinuationToken: string | undefined
        do {
          const reply = await page({ MaxKeys: 1, Delimiter: '/', ContinuationToken })
          seen.push(...reply.keys, ...reply.prefixes)
          ContinuationToken = reply.next
        } while (ContinuationToken !== undefined)
        expect(seen).toEqual(['list/a/', 'list/b', 'list/c/', 'list/d'])
      })

      check('starts after a key', async () => {
        expect((await page({ StartAfter: 'list/b' })).keys).toEqual(['list/c/4', 'list/c/5', 'list/d'])
      })

      check('lists nothing with max-keys 0', async () => {
        expect(await page({ MaxKeys: 0 })).toMatchObject({ keys: [], truncated: false })
      })

      check('refuses a continuation token it did not issue', async () => {
        expect((await refusal(page({ ContinuationToken: 'forged' }))).status).toBe(400)
      })

      check('encodes keys in URLs when asked', async () => {
        await put('encoded/a b+ü\u0001', 'x')
        const listing = new ListObjectsV2Command({ Bucket, Prefix: 'encoded/', EncodingType: 'url' })
        const [first] = (await s3.send(listing)).Contents ?? []
        expect(decodeURIComponent(first?.Key ?? '')).toBe('encoded/a b+ü\u0001')
        expect(first?.Key).toMatch(/^[\x20-\x7e]*$/)
      })

      check('orders by the bytes of UTF-8', async () => {
        const ordered = ['utf/z', 'utf/é', 'utf/\uff21', 'utf/😀']
        for (const key of ordered.toReversed()) await put(key, 'x')
        expect(await keysUnder('utf/')).toEqual(ordered)
      })

      check('still knows the first version of listing', async () => {
        const first = await s3.send(
          new ListObjectsCommand({ Bucket, Prefix: 'list/', Delimiter: '/', MaxKeys: 2 }),
        )
        expect(first).toMatchObject({ IsTruncated: true, Contents: [{ Key: 'list/b' }] })
        const Marker = first.NextMarker
        const rest = await s3.send(
          new ListObjectsCommand({ Bucket, Prefix: 'list/', Delimiter: '/', Marker }),
        )
        expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['list/d'])
        expect(rest.CommonPrefixes).toEqual([{ Prefix: 'list/c/' }])
      })
    })

    describe('copying', () => {
      const from = 'copy source/ü+&.txt'
      const CopySource = `${Bucket}/${encodeURIComponent(from)}`
      beforeAll(async () => {
        await put(from, 'copied', { ContentType: 'text/plain', Metadata: { a: '1', b: '2' } })
      })
      const copy = (Key: string, more: object = {}) =>
        s3.send(new CopyObjectCommand({ Bucket, Key, CopySource, ...more }))
      const copyWith = (Key: string, headers: Record<string, string>, more: object = {}) => {
        const command = new CopyObjectCommand({ Bucket, Key, CopySource, ...more })
        command.middlewareStack.add(
          (next) => (args) => {
            Object.assign((args.request as { headers: Record<string, string> }).headers, headers)
            return next(args)
          },
          { step: 'build' },
        )
        return s3.send(command)
      }

      check('copies content and metadata', async () => {
        const key = newKey()
        const { CopyObjectResult } = await copy(key)
        expect(await text(key)).toBe('copied')
        expect(await head(key)).toMatchObject({
          ContentType: 'text/plain',
          Metadata: { a: '1', b: '2' },
          ETag: quoted(CopyObjectResult?.ETag),
        })
      })

      check('replaces metadata when asked', async () => {
        const key = newKey()
        await copy(key, { MetadataDirective: 'REPLACE', ContentType: 'text/html', Metadata: { c: '3' } })
        expect(await head(key)).toMatchObject({ ContentType: 'text/html', Metadata: { c: '3' } })
      })

      check('merges metadata, as only R2 does', async () => {
        const key = newKey()
        await copyWith(key, { 'x-amz-metadata-directive': 'MERGE' }, { Metadata: { b: '9', c: '3' } })
        expect(await head(key)).toMatchObject({
          ContentType: 'text/plain',
          Metadata: { a: '1', b: '9', c: '3' },
        })
      })

      check('says NoSuchKey for a missing source', async () => {
        const missing = copy(newKey(), { CopySource: `${Bucket}/missing` })
        expect(await refusal(missing)).toEqual({ name: 'NoSuchKey', status: 404 })
      })

      check('copies only the version that was meant', async () => {
        const key = newKey()
        expect((await refusal(copy(key, { CopySourceIfMatch: '"other"' }))).status).toBe(412)
        await copy(key, { CopySourceIfMatch: await etagOf(from) })
        expect((await refusal(copy(key, { CopySourceIfNoneMatch: await etagOf(from) }))).status).toBe(412)
      })

      check('refuses a copy onto itself that changes nothing', async () => {
        expect(await refusal(copy(from))).toEqual({ name: 'InvalidRequest', status: 400 })
      })

      check('changes metadata by a copy onto itself', async () => {
        const key = newKey()
        await put(key, 'self', { Metadata: { old: '1' } })
        await copy(key, {
          CopySource: `${Bucket}/${key}`,
          MetadataDirective: 'REPLACE',
          Metadata: { new: '2' },
        })
        expect(await head(key)).toMatchObject({ Metadata: { new: '2' }, ContentLength: 4 })
      })

      check('copies only where nothing is, as only R2 does', async () => {
        const key = newKey()
        const once = { 'cf-copy-destination-if-none-match': '*' }
        await copyWith(key, once)
        expect((await refusal(copyWith(key, once))).status).toBe(412)
      })

      check('lets one of ten racing conditional copies win, as only R2 does', async () => {
        const key = newKey()
        const once = { 'cf-copy-destination-if-none-match': '*' }
        const results = await Promise.allSettled(Array.from({ length: 10 }, () => copyWith(key, once)))
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      })

      check('copies onto the version that was meant, as only R2 does', async () => {
        const key = newKey()
        await put(key, 'before')
        expect((await refusal(copyWith(key, { 'cf-copy-destination-if-match': '"other"' }))).status).toBe(412)
        await copyWith(key, { 'cf-copy-destination-if-match': await etagOf(key) })
        expect(await text(key)).toBe('copied')
      })
    })

    describe('multipart uploads', () => {
      const block = Buffer.alloc(PART, 'p')
      const begin = async (Key: string, more: object = {}) =>
        (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId ?? ''
      const part = (Key: string, UploadId: string, PartNumber: number, Body: Buffer, more: object = {}) =>
        s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }))
      const complete = (Key: string, UploadId: string, Parts: object[], more: object = {}) =>
        s3.send(
          new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }),
        )

      check('puts parts together, told by ListParts on the way', async () => {
        const key = newKey('multi')
        const id = await begin(key, { ContentType: 'video/mp4', Metadata: { m: '1' } })
        const bodies = [Buffer.alloc(PART, 1), Buffer.alloc(PART, 2), Buffer.from('end')]
        const etags = await Promise.all(bodies.map((body, index) => part(key, id, index + 1, body)))
        const listing = { Bucket, Key: key, UploadId: id }
        const listed = await s3.send(new ListPartsCommand(listing))
        expect(listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
          [1, PART],
          [2, PART],
          [3, 3],
        ])
        const onePart = await s3.send(
          new ListPartsCommand({ ...listing, MaxParts: 1, PartNumberMarker: '1' }),
        )
        expect(onePart).toMatchObject({
          IsTruncated: true,
          NextPartNumberMarker: '2',
          Parts: [{ PartNumber: 2 }],
        })
        expect((await refusal(head(key))).status).toBe(404)
        const parts = etags.map(({ ETag }, index) => ({ PartNumber: index + 1, ETag }))
        await complete(key, id, parts)
        const md5s = bodies.map((body) => createHash('md5').update(body).digest())
        expect(await head(key)).toMatchObject({
          ContentLength: 2 * PART + 3,
          ContentType: 'video/mp4',
          Metadata: { m: '1' },
          ETag: `"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3"`,
        })
        expect(await text(key, { Range: `bytes=${2 * PART - 1}-` })).toBe('\u0002end')
      })

      check('tells where the whole is and what its ETag is', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const { ETag } = await part(key, id, 1, Buffer.from('only'))
        const reply = await complete(key, id, [{ PartNumber: 1, ETag }])
        expect(reply).toMatchObject({ Bucket, Key: key, ETag: await etagOf(key) })
      })

      check('reads one part by its number', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const one = await part(key, id, 1, block)
        const two = await part(key, id, 2, Buffer.from('second'))
        await complete(key, id, [
          { PartNumber: 1, ETag: one.ETag },
          { PartNumber: 2, ETag: two.ETag },
        ])
        const reply = await get(key, { PartNumber: 2 })
        expect(await reply.Body?.transformToString()).toBe('second')
        expect(reply).toMatchObject({ ContentRange: `bytes ${PART}-${PART + 5}/${PART + 6}`, PartsCount: 2 })
      })

      check('takes the last upload of a part', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const old = await part(key, id, 1, Buffer.from('old'))
        const { ETag } = await part(key, id, 1, Buffer.from('new'))
        expect((await refusal(complete(key, id, [{ PartNumber: 1, ETag: old.ETag }]))).name).toBe(
          'InvalidPart',
        )
        await complete(key, id, [{ PartNumber: 1, ETag }])
        expect(await text(key)).toBe('new')
      })

      check('refuses a small part that is not the last', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const { ETag } = await part(key, id, 1, Buffer.from('small'))
        const both = [
          { PartNumber: 1, ETag },
          { PartNumber: 2, ETag: (await part(key, id, 2, Buffer.from('s'))).ETag },
        ]
        expect(await refusal(complete(key, id, both))).toEqual({ name: 'EntityTooSmall', status: 400 })
      })

      check('refuses parts of different sizes, as only R2 does', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const sizes = [PART + 1, PART, 3]
        const etags = await Promise.all(
          sizes.map((size, index) => part(key, id, index + 1, Buffer.alloc(size))),
        )
        const parts = etags.map(({ ETag }, index) => ({ PartNumber: index + 1, ETag }))
        expect(await refusal(complete(key, id, parts))).toEqual({ name: 'InvalidPart', status: 400 })
      })

      check('refuses a last part larger than the others, as only R2 does', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const etags = [await part(key, id, 1, block), await part(key, id, 2, Buffer.alloc(PART + 1))]
        const parts = etags.map(({ ETag }, index) => ({ PartNumber: index + 1, ETag }))
        expect(await refusal(complete(key, id, parts))).toEqual({ name: 'InvalidPart', status: 400 })
      })

      check('refuses a part with another ETag and a part that is missing', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const one = { PartNumber: 1, ETag: (await part(key, id, 1, block)).ETag }
        const other = { PartNumber: 1, ETag: `"${'0'.repeat(32)}"` }
        expect((await refusal(complete(key, id, [other]))).name).toBe('InvalidPart')
        expect((await refusal(complete(key, id, [one, { ...one, PartNumber: 2 }]))).name).toBe('InvalidPart')
        await complete(key, id, [one])
      })

      check('refuses parts that are not in order', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const one = { PartNumber: 1, ETag: (await part(key, id, 1, block)).ETag }
        const two = { PartNumber: 2, ETag: (await part(key, id, 2, Buffer.from('x'))).ETag }
        expect((await refusal(complete(key, id, [two, one]))).name).toBe('InvalidPartOrder')
      })

      check('refuses part number 10,001', async () => {
        const key = newKey('multi')
        expect((await refusal(part(key, await begin(key), 10_001, Buffer.from('x')))).status).toBe(400)
      })

      check('lists open uploads and aborts them', async () => {
        const keys = ['open/b', 'open/a', 'open/c/d']
        const ids = new Map<string, string>()
        for (const key of keys) ids.set(key, await begin(key))
        const listing = { Bucket, Prefix: 'open/' }
        const { Uploads } = await s3.send(new ListMultipartUploadsCommand(listing))
        expect(Uploads?.map(({ Key }) => Key)).toEqual(['open/a', 'open/b', 'open/c/d'])
        for (const [Key, UploadId] of ids)
          await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
        expect((await s3.send(new ListMultipartUploadsCommand(listing))).Uploads ?? []).toEqual([])
        const late = part('open/a', ids.get('open/a') ?? '', 1, Buffer.from('late'))
        expect(await refusal(late)).toEqual({ name: 'NoSuchUpload', status: 404 })
      })

      check('pages through open uploads', async () => {
        for (const key of ['paged/a', 'paged/a', 'paged/b']) await begin(key)
        const seen: (string | undefined)[] = []
        let markers = {}
        for (let truncated = true; truncated; ) {
          const command = new ListMultipartUploadsCommand({
            Bucket,
            Prefix: 'paged/',
            MaxUploads: 1,
            ...markers,
          })
          const reply = await s3.send(command)
          seen.push(...(reply.Uploads?.map(({ Key }) => Key) ?? []))
          truncated = reply.IsTruncated ?? false
          markers = { KeyMarker: reply.NextKeyMarker, UploadIdMarker: reply.NextUploadIdMarker }
        }
        expect(seen).toEqual(['paged/a', 'paged/a', 'paged/b'])
      })

      check('takes a range of another object as a part', async () => {
        const source = newKey('multi')
        await put(source, Buffer.concat([Buffer.from('skip'), block]))
        const key = newKey('multi')
        const id = await begin(key)
        const CopySource = `${Bucket}/${source}`
        const CopySourceRange = `bytes=4-${PART + 3}`
        const where = { Bucket, Key: key, UploadId: id }
        const copied = await s3.send(
          new UploadPartCopyCommand({ ...where, PartNumber: 1, CopySource, CopySourceRange }),
        )
        const two = await part(key, id, 2, Buffer.from('tail'))
        const ETag = copied.CopyPartResult?.ETag
        await complete(key, id, [
          { PartNumber: 1, ETag },
          { PartNumber: 2, ETag: two.ETag },
        ])
        expect(quoted(ETag)).toBe(`"${createHash('md5').update(block).digest('hex')}"`)
        expect((await head(key)).ContentLength).toBe(PART + 4)
      })

      check('makes one object of two racing completions', async () => {
        const key = newKey('multi')
        const id = await begin(key)
        const { ETag } = await part(key, id, 1, Buffer.from('once'))
        const results = await Promise.allSettled(
          [1, 2].map(() => complete(key, id, [{ PartNumber: 1, ETag }])),
        )
        expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
        expect(await text(key)).toBe('once')
      })

      check('makes a composite SHA-256 of the parts', async () => {
        const key = newKey('multi')
        const id = await begin(key, { ChecksumAlgorithm: 'SHA256' })
        const bodies = [block, Buffer.from('end')]
        const sums = bodies.map((body) => createHash('sha256').update(body).digest())
        const parts = []
        for (const [index, Body] of bodies.entries()) {
          const ChecksumSHA256 = sums[index]?.toString('base64')
          const { ETag } = await part(key, id, index + 1, Body, { ChecksumSHA256 })
          parts.push({ PartNumber: index + 1, ETag, ChecksumSHA256 })
        }
        const reply = await complete(key, id, parts)
        expect(reply.ChecksumSHA256).toBe(
          `${createHash('sha256').update(Buffer.concat(sums)).digest('base64')}-2`,
        )
        expect(reply.ChecksumType).toBe('COMPOSITE')
      })

      check('makes a CRC64NVME of the whole object', async () => {
        const key = newKey('multi')
        const id = await begin(key, { ChecksumAlgorithm: 'CRC64NVME' })
        const parts = []
        for (const [index, Body] of [block, Buffer.from('end')].entries())
          parts.push({ PartNumber: index + 1, ETag: (await part(key, id, index + 1, Body)).ETag })
        const whole = newKey()
        const single = await put(whole, Buffer.concat([block, Buffer.from('end')]), {
          ChecksumAlgorithm: 'CRC64NVME',
        })
        const reply = await complete(key, id, parts)
        expect([reply.ChecksumCRC64NVME, reply.ChecksumType]).toEqual([
          single.ChecksumCRC64NVME,
          'FULL_OBJECT',
        ])
      })

      check('refuses a full-object SHA-256', async () => {
        const wrong = begin(newKey('multi'), { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' })
        expect((await refusal(wrong)).status).toBe(400)
      })
    })

    describe('presigned URLs', () => {
      check('put and get', async () => {
        const key = newKey('signed')
        const response = await send(await signed(new PutObjectCommand({ Bucket, Key: key })), 'by fetch')
        expect(response.status).toBe(200)
        expect(await (await fetch(await signed(new GetObjectCommand({ Bucket, Key: key })))).text()).toBe(
          'by fetch',
        )
      })

      check('hold the uploader to the signed type', async () => {
        const key = newKey('signed')
        const command = new PutObjectCommand({ Bucket, Key: key, ContentType: 'image/png' })
        const url = await signed(command, { headers: ['content-type'] })
        const refused = await send(url, 'x', { 'content-type': 'text/html' })
        expect([refused.status, await errorCode(refused)]).toEqual([403, 'SignatureDoesNotMatch'])
        expect((await send(url, 'x', { 'content-type': 'image/png' })).status).toBe(200)
      })

      check('hold the uploader to the signed length', async () => {
        const key = newKey('signed')
        const command = new PutObjectCommand({ Bucket, Key: key, ContentLength: 4 })
        const url = await signed(command, { headers: ['content-length'] })
        expect((await send(url, 'fives')).status).toBe(403)
        expect((await send(url, 'abc')).status).toBe(403)
        expect((await send(url, 'four')).status).toBe(200)
      })

      check('hold the uploader to the signed SHA-256', async () => {
        const key = newKey('signed')
        const ChecksumSHA256 = createHash('sha256').update('real').digest('base64')
        const command = new PutObjectCommand({ Bucket, Key: key, ChecksumSHA256 })
        const url = await signed(command, { headers: ['x-amz-checksum-sha256'] })
        const headers = { 'x-amz-checksum-sha256': ChecksumSHA256 }
        expect((await send(url, 'fake', headers)).status).toBe(400)
        expect((await refusal(head(key))).status).toBe(404)
        expect((await send(url, 'real', headers)).status).toBe(200)
      })

      check('hold the uploader to the signed Content-MD5', async () => {
        const key = newKey('signed')
        const ContentMD5 = createHash('md5').update('real').digest('base64')
        const command = new PutObjectCommand({ Bucket, Key: key, ContentMD5 })
        const url = await signed(command, { headers: ['content-md5'] })
        const headers = { 'content-md5': ContentMD5 }
        expect((await send(url, 'fake', headers)).status).toBe(400)
        expect((await send(url, 'real', headers)).status).toBe(200)
      })

      check('write once with a signed If-None-Match', async () => {
        const key = newKey('signed')
        const url = await signed(new PutObjectCommand({ Bucket, Key: key, IfNoneMatch: '*' }), {
          headers: ['if-none-match'],
        })
        expect((await send(url, 'first')).status).toBe(403)
        expect((await send(url, 'first', { 'if-none-match': '*' })).status).toBe(200)
        expect((await send(url, 'again', { 'if-none-match': '*' })).status).toBe(412)
        expect(await text(key)).toBe('first')
      })

      check('are refused when anything in them is changed', async () => {
        const key = newKey('signed')
        await put(key, 'secret')
        await put(`${key}-other`, 'other')
        const url = await signed(new GetObjectCommand({ Bucket, Key: key }))
        const changed = [
          url.replace(key, `${key}-other`),
          url.replace('X-Amz-Expires=300', 'X-Amz-Expires=3000'),
          url.replace(
            /X-Amz-Signature=./,
            (found) => `${found.slice(0, -1)}${found.endsWith('0') ? '1' : '0'}`,
          ),
          `${url}&response-content-type=text%2Fhtml`,
          url.replace(
            /(X-Amz-Date=\d{8}T\d{5})\d/,
            (found, start) => `${start}${found.endsWith('0') ? '1' : '0'}`,
          ),
        ]
        for (const target of changed) expect((await fetch(target)).status).toBe(403)
        expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
        expect((await send(url, 'x')).status).toBe(403)
        expect(await (await fetch(url)).text()).toBe('secret')
      })

      check('expire', async () => {
        const command = new GetObjectCommand({ Bucket, Key: newKey('signed') })
        const response = await fetch(
          await signed(command, { expiresIn: 10, at: new Date(Date.now() - 11_000) }),
        )
        expect(response.status).toBeGreaterThanOrEqual(400)
        expect(await errorCode(response)).toMatch(/ExpiredRequest|AccessDenied/)
      })

      check('are refused when signed in the future', async () => {
        const command = new GetObjectCommand({ Bucket, Key: newKey('signed') })
        const response = await fetch(await signed(command, { at: new Date(Date.now() + 3_600_000) }))
        expect(response.status).toBe(403)
      })

      check('are refused when valid for more than 7 days', async () => {
        const url = await signed(new GetObjectCommand({ Bucket, Key: newKey('signed') }))
        const response = await fetch(url.replace('X-Amz-Expires=300', 'X-Amz-Expires=700000'))
        expect(response.status).toBeGreaterThanOrEqual(400)
      })

      check('override headers of the answer', async () => {
        const key = newKey('signed')
        await put(key, 'x', { ContentType: 'text/plain' })
        const overrides = {
          ResponseContentDisposition: 'attachment; filename="cv.pdf"',
          ResponseContentType: 'application/pdf',
          ResponseCacheControl: 'no-store',
        }
        const { headers } = await fetch(
          await signed(new GetObjectCommand({ Bucket, Key: key, ...overrides })),
        )
        expect(headers.get('content-disposition')).toBe('attachment; filename="cv.pdf"')
        expect(headers.get('content-type')).toBe('application/pdf')
        expect(headers.get('cache-control')).toBe('no-store')
      })
    })

    describe('identities', () => {
      const list = (client: S3Client) => client.send(new ListObjectsV2Command({ Bucket }))

      check('refuses a wrong secret', async () => {
        const { accessKeyId } = subject
        const wrong = clients.make({ credentials: { accessKeyId, secretAccessKey: 'wrong' } })
        expect(await refusal(list(wrong))).toEqual({ name: 'SignatureDoesNotMatch', status: 403 })
      })

      check('refuses an unknown key', async () => {
        const { secretAccessKey } = subject
        const unknown = clients.make({ credentials: { accessKeyId: 'nobody', secretAccessKey } })
        expect([401, 403]).toContain((await refusal(list(unknown))).status)
      })

      check('refuses everyone else', async () => {
        await put('private', 'x')
        expect([400, 401, 403]).toContain((await fetch(`${subject.url}/${Bucket}/private`)).status)
        expect([400, 401, 403]).toContain((await send(`${subject.url}/${Bucket}/private`, 'y')).status)
        expect(await text('private')).toBe('x')
      })

      check('refuses a body other than the one whose hash was signed', async () => {
        const key = newKey()
        const client = clients.make()
        client.middlewareStack.add(
          (next) => (args) => {
            const request = args.request as { body: unknown }
            request.body = 'swap'
            return next(args)
          },
          { step: 'finalizeRequest', priority: 'low' },
        )
        const put = client.send(new PutObjectCommand({ Bucket, Key: key, Body: 'real', ContentLength: 4 }))
        expect([400, 403]).toContain((await refusal(put)).status)
        expect((await refusal(head(key))).status).toBe(404)
      })
    })

    describe('buckets', () => {
      check('are created, listed, located and deleted', async () => {
        const name = `${Bucket}-more`
        await s3.send(new CreateBucketCommand({ Bucket: name }))
        expect((await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toContain(name)
        await s3.send(new HeadBucketCommand({ Bucket: name }))
        await s3.send(new GetBucketLocationCommand({ Bucket: name }))
        await s3.send(new DeleteBucketCommand({ Bucket: name }))
        expect((await refusal(s3.send(new HeadBucketCommand({ Bucket: name })))).status).toBe(404)
      })

      check('are deleted only when empty', async () => {
        await put(newKey(), 'x')
        const full = s3.send(new DeleteBucketCommand({ Bucket }))
        expect(await refusal(full)).toEqual({ name: 'BucketNotEmpty', status: 409 })
      })

      check('have names of a certain form', async () => {
        const odd = s3.send(new CreateBucketCommand({ Bucket: 'Not_A-Name' }))
        expect(await refusal(odd)).toEqual({ name: 'InvalidBucketName', status: 400 })
      })
    })

    describe('browsers', () => {
      const origin = 'https://app.example'
      const preflight = (from: string, method: string, headers: string) =>
        fetch(`${subject.url}/${Bucket}/upload`, {
          method: 'OPTIONS',
          headers: {
            origin: from,
            'access-control-request-method': method,
            'access-control-request-headers': headers,
          },
        })
      const rules = {
        AllowedOrigins: [origin],
        AllowedMethods: ['GET', 'PUT'],
        AllowedHeaders: ['content-type', 'x-amz-*'],
        ExposeHeaders: ['ETag'],
        MaxAgeSeconds: 600,
      }
      const configure = () =>
        s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: [rules] } }))

      check('get the CORS policy that was set', async () => {
        await configure()
        expect((await s3.send(new GetBucketCorsCommand({ Bucket }))).CORSRules).toMatchObject([rules])
        await s3.send(new DeleteBucketCorsCommand({ Bucket }))
        expect(await refusal(s3.send(new GetBucketCorsCommand({ Bucket })))).toEqual({
          name: 'NoSuchCORSConfiguration',
          status: 404,
        })
      })

      check('are let through by a preflight that fits a rule', async () => {
        await configure()
        const { ok, headers } = await preflight(origin, 'PUT', 'content-type,x-amz-checksum-sha256')
        expect(ok).toBe(true)
        expect(headers.get('access-control-allow-origin')).toBe(origin)
        expect(headers.get('access-control-allow-methods')).toContain('PUT')
        expect(headers.get('access-control-allow-headers')?.toLowerCase()).toContain('content-type')
      })

      check('are kept out by a preflight that fits none', async () => {
        await configure()
        expect((await preflight('https://evil.example', 'PUT', 'content-type')).status).toBe(403)
        expect((await preflight(origin, 'DELETE', 'content-type')).status).toBe(403)
      })

      check('may not send headers that no rule names', async () => {
        await configure()
        expect((await preflight(origin, 'PUT', 'x-other')).status).toBe(403)
      })

      check('may read the exposed headers of an answer', async () => {
        await configure()
        const url = await signed(new PutObjectCommand({ Bucket, Key: newKey() }))
        const { headers } = await send(url, 'x', { origin })
        expect(headers.get('access-control-allow-origin')).toBe(origin)
        expect(headers.get('access-control-expose-headers')).toBe('ETag')
      })

      check('of another origin may read nothing', async () => {
        await configure()
        const url = await signed(new PutObjectCommand({ Bucket, Key: newKey() }))
        const { headers } = await send(url, 'x', { origin: 'https://evil.example' })
        expect(headers.get('access-control-allow-origin')).toBeNull()
      })
    })
  })
}
