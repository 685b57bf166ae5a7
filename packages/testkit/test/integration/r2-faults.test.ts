import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from '../conformance/s3-subject.ts'
import { exchange } from './raw-http.ts'

const Bucket = 'media'
let r2: R2Server
let s3: S3Client
let counter = 0

beforeAll(async () => {
  r2 = await startR2({ buckets: [Bucket] })
  s3 = client(1)
})
afterEach(() => r2.clearFaults())
afterAll(async () => {
  s3?.destroy()
  await r2?.close()
})

const client = (maxAttempts: number) => {
  const { url, region, accessKeyId, secretAccessKey } = r2
  return new S3Client({
    endpoint: url,
    region,
    forcePathStyle: true,
    maxAttempts,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
}
const newKey = () => `fault-${++counter}`
const put = (Key: string, Body: string | Buffer = 'x') => s3.send(new PutObjectCommand({ Bucket, Key, Body }))
const get = (Key: string) => s3.send(new GetObjectCommand({ Bucket, Key }))
const exists = (Key: string) =>
  s3.send(new HeadObjectCommand({ Bucket, Key })).then(
    () => true,
    () => false,
  )

describe('an injected refusal', () => {
  test.each([
    [429, 'TooManyRequests'],
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
  ] as const)('of %d has the code that R2 sends and leaves nothing', async (status, name) => {
    r2.fault({ operation: 'PutObject', status, count: 1 })
    const key = newKey()
    expect(await refusal(put(key))).toEqual({ name, status })
    expect(await exists(key)).toBe(false)
    await put(key)
  })

  test('after the write hides that it happened', async () => {
    r2.fault({ operation: 'PutObject', status: 500, when: 'after', count: 1 })
    const key = newKey()
    expect((await refusal(put(key))).status).toBe(500)
    expect(await exists(key)).toBe(true)
  })

  test('is survived by a client that tries again', async () => {
    r2.fault({ status: 503, count: 2 })
    const patient = client(3)
    await patient.send(new PutObjectCommand({ Bucket, Key: newKey(), Body: 'x' }))
    patient.destroy()
  })
})

describe('a connection that is cut', () => {
  const isCut = async (promise: Promise<unknown>) => {
    const error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown as { code?: string; $metadata?: { httpStatusCode?: number } },
    )
    expect(error).toBeDefined()
    expect(error?.$metadata?.httpStatusCode).toBeUndefined()
  }

  test('before the write leaves nothing', async () => {
    r2.fault({ cut: 'before', count: 1 })
    const key = newKey()
    await isCut(put(key))
    expect(await exists(key)).toBe(false)
  })

  test('after the write hides that it happened', async () => {
    r2.fault({ cut: 'after', count: 1 })
    const key = newKey()
    await isCut(put(key))
    expect(await exists(key)).toBe(true)
  })

  test('in the middle of an upload leaves what was there', async () => {
    const key = newKey()
    await put(key, 'before')
    r2.fault({ operation: 'PutObject', cut: 300_000, count: 1 })
    await isCut(put(key, Buffer.alloc(3_000_000)))
    expect(await (await get(key)).Body?.transformToString()).toBe('before')
  })

  test.each([0, 1, 500_000])('after %d bytes of a download has let exactly these through', async (cut) => {
    const key = newKey()
    await put(key, Buffer.alloc(1_000_000, 'd'))
    r2.fault({ operation: 'GetObject', cut, count: 1 })
    const { body, head } = await exchange(r2, { target: `/${Bucket}/${key}` })
    expect(body.length).toBe(cut)
    if (cut > 0) expect(head).toMatch(/content-length: 1000000/)
  })

  test('behind the end of the content does not happen', async () => {
    const key = newKey()
    await put(key, 'short')
    r2.fault({ operation: 'GetObject', cut: 5 })
    expect(await (await get(key)).Body?.transformToString()).toBe('short')
  })
})

describe('slowness', () => {
  test('of a latency comes before the answer', async () => {
    r2.fault({ operation: 'HeadObject', latency: 200 })
    const started = performance.now()
    await exists(newKey())
    expect(performance.now() - started).toBeGreaterThan(190)
  })

  test('of a speed limit holds for uploads and downloads', async () => {
    const key = newKey()
    r2.fault({ prefix: key, bytesPerSecond: 1_000_000 })
    for (const transfer of [
      () => put(key, Buffer.alloc(300_000)),
      async () => (await get(key)).Body?.transformToByteArray(),
    ]) {
      const started = performance.now()
      await transfer()
      expect(performance.now() - started).toBeGreaterThan(280)
    }
  })

  test('is not waited for when the server is killed', async () => {
    r2.fault({ latency: '1h' })
    const waiting = refusal(put(newKey()))
    await expect.poll(() => r2.pending).toBe(1)
    await r2.kill()
    await waiting
    r2.clearFaults()
    await r2.start()
    await put(newKey())
  })
})

describe('the server', () => {
  test('answers nothing while it is frozen, and all of it afterwards', async () => {
    r2.freeze()
    const key = newKey()
    const waiting = put(key)
    await expect.poll(() => r2.pending).toBe(1)
    expect(r2.inspect(Bucket).objects).not.toContain(key)
    r2.thaw()
    await waiting
    expect(r2.inspect(Bucket).objects).toContain(key)
  })

  test('is gone when killed and has its data when started again', async () => {
    const key = newKey()
    await put(key, 'kept')
    await r2.kill()
    expect(await exists(key)).toBe(false)
    await r2.start()
    expect(await (await get(key)).Body?.transformToString()).toBe('kept')
    await expect(r2.start()).rejects.toMatchObject({ code: 'TESTKIT_ERR_STATE' })
  })

  test('judges signatures by a clock that can be wrong', async () => {
    const key = newKey()
    r2.skewClock('20m')
    const refused = await exchange(r2, { target: `/${Bucket}/${key}` })
    expect(refused.body).toContain('RequestTimeTooSkewed')
    expect(Date.parse(/date: (.*)/.exec(refused.head)?.[1] ?? '')).toBeGreaterThan(Date.now() + 19 * 60_000)
    r2.skewClock(-60_000)
    await put(key)
    r2.skewClock(0)
    expect((await get(key)).LastModified?.getTime()).toBeLessThan(Date.now() - 50_000)
  })

  test('makes objects look old', async () => {
    const key = newKey()
    await put(key)
    r2.age(Bucket, key, '30d')
    expect((await get(key)).LastModified?.getTime()).toBeLessThan(Date.now() - 29 * 86_400_000)
  })

  test('tells every request', async () => {
    const seen: unknown[] = []
    const key = newKey()
    using _ = r2.on('request', (request) => request.key === key && seen.push(request))
    await put(key, 'four')
    await (await get(key)).Body?.transformToString()
    await expect
      .poll(() => seen)
      .toEqual([
        { operation: 'PutObject', bucket: Bucket, key, status: 200, received: 4, sent: 0 },
        { operation: 'GetObject', bucket: Bucket, key, status: 200, received: 0, sent: 4 },
      ])
  })
})

test('R2 takes one write per key and second when asked to', async () => {
  await using strict = await startR2({ buckets: [Bucket], limitWrites: true })
  const write = (key: string) => exchange(strict, { method: 'PUT', target: `/${Bucket}/${key}`, body: 'x' })
  expect((await write('a')).status).toBe(200)
  expect((await write('b')).status).toBe(200)
  expect((await write('a')).status).toBe(429)
  strict.skewClock(1100)
  expect((await write('a')).status).toBe(200)
})
