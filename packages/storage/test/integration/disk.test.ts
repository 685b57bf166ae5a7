import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import {
  type Bucket,
  createStorage,
  disk,
  type LocalBucketSource,
  memory,
  type Storage,
} from '../../src/index.ts'

let root: string
let server: Server
let source: LocalBucketSource
let storage: Storage<'files'>
let files: Bucket

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cays-disk-'))
  server = createServer((request, response) => source.handler(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`
  source = disk({ root, url, secret: 'a secret of the test suite, long enough' })
  storage = createStorage({ buckets: { files: source } })
  files = storage.bucket('files')
})
afterAll(async () => {
  await storage?.close()
  server?.closeAllConnections()
  await new Promise((done) => server?.close(done) ?? done(undefined))
  if (root) await rm(root, { recursive: true, force: true })
})

it('objects are there for the next process, under any key', async () => {
  const keys = ['a', 'a/b', 'x'.repeat(1_024), 'CON', 'ü/日本.txt']
  for (const key of keys) await files.put(key, key, { contentType: 'text/plain', metadata: { of: 'test' } })
  await using later = createStorage({ buckets: { files: disk({ root }) } })
  for (const key of keys) {
    const stored = await later.bucket('files').get(key)
    expect(stored).toMatchObject({ contentType: 'text/plain', metadata: { of: 'test' } })
    expect(await stored.text()).toBe(key)
  }
  await files.deleteMany(keys)
})

it('a sender that breaks off leaves nothing behind', async () => {
  const { url, headers } = files.signedUrl('broken', {
    method: 'PUT',
    size: 1_000_000,
    contentType: 'text/plain',
  })
  await new Promise<void>((resolve) => {
    const request = httpRequest(url, { method: 'PUT', headers: { ...headers, 'content-length': 1_000_000 } })
    request.on('error', () => resolve())
    request.write(randomBytes(500_000), () => request.destroy(new Error('enough')))
  })
  await expect.poll(() => readdir(join(root, 'partial'))).toEqual([])
  expect(await files.exists('broken')).toBe(false)
})

it('what a killed process left half-written is no object, and is swept', async () => {
  await files.put('whole', 'x')
  const left = join(root, 'partial', randomUUID())
  await writeFile(left, 'half')
  expect(await storage.sweep({ olderThan: '1m' })).toMatchObject({ uploads: 0 })
  const before = new Date(Date.now() - 3_600_000)
  await utimes(left, before, before)
  expect(await storage.sweep({ olderThan: '1m' })).toMatchObject({ uploads: 1, failures: [] })
  expect(await readdir(join(root, 'partial'))).toEqual([])
  expect(await (await files.get('whole')).text()).toBe('x')
})

it('gives its bytes to signed requests only, with ranges, to any origin', async () => {
  await files.put('read', '0123456789', { contentType: 'text/plain' })
  const url = files.signedUrl('read', { download: 'ten.txt' })
  const answer = await fetch(url, { headers: { range: 'bytes=2-4' } })
  expect(answer.status).toBe(206)
  expect(await answer.text()).toBe('234')
  expect(answer.headers.get('content-disposition')).toContain('ten.txt')
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  expect((await fetch(url, { method: 'HEAD' })).headers.get('content-length')).toBe('10')
  for (const other of [
    url.split('?')[0] ?? '',
    url.replace('read', 'other'),
    url.replace('/files/', '/files/../'),
  ]) {
    expect((await fetch(other)).status).toBe(403)
  }
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
  expect((await fetch(files.signedUrl('none'))).status).toBe(404)
})

it('gives everything to everybody where it is public, but for what waits to be proven', async () => {
  let shown: LocalBucketSource | undefined
  const site = createServer((request, response) => shown?.handler(request, response))
  await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
  onTestFinished(async () => {
    site.closeAllConnections()
    await new Promise((done) => site.close(done))
  })
  const url = `http://127.0.0.1:${(site.address() as AddressInfo).port}/public`
  const source = memory({ url, public: true })
  shown = source
  await using open = createStorage({ buckets: { media: source } })
  const media = open.bucket('media')
  const key = "odd/(1) ü+&=%20 日本 'x'?#.txt"
  await media.put(key, 'hello', { contentType: 'text/html', cacheControl: 'public, max-age=60' })
  const answer = await fetch(`${media.publicUrl(key)}?response-content-type=text/html`)
  expect(await answer.text()).toBe('hello')
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'cache-control': 'public, max-age=60',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
  })
  expect((await fetch(media.signedUrl(key))).status).toBe(200)
  expect((await fetch(`${url}/none`)).status).toBe(404)
  expect((await fetch(`${url}/quarantine/1-a`)).status).toBe(400)
  expect((await fetch(media.publicUrl(key), { method: 'PUT', body: 'x' })).status).toBe(403)
  expect((await fetch(media.signedUrl(key).replace(/Signature=\w{4}/, 'Signature=0000'))).status).toBe(403)
  expect((await fetch(`${url.replace('public', 'other')}/a`)).status).toBe(403)
})

it('a body that is read while its object is replaced is whole or fails', async () => {
  await files.put('replaced', Buffer.alloc(300_000, 'a'))
  const early = await files.get('replaced')
  const late = await files.get('replaced')
  const iterator = early.body[Symbol.asyncIterator]()
  const first = await iterator.next()
  await files.put('replaced', Buffer.alloc(300_000, 'b'))
  let read = Buffer.from(first.value as Uint8Array).toString()
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    read += Buffer.from(next.value).toString()
  }
  expect(read).toBe('a'.repeat(300_000))
  await expect(late.bytes()).rejects.toMatchObject({ code: 'STORAGE_ERR_PRECONDITION' })
})

it('memory holds no more than it may, and gives back what was deleted', async () => {
  await using small = createStorage({ buckets: { files: memory({ maxBytes: 1_000 }) } })
  const bucket: Bucket = small.bucket('files')
  await bucket.put('a', Buffer.alloc(900))
  await expect(bucket.put('b', Buffer.alloc(200))).rejects.toMatchObject({ code: 'STORAGE_ERR_SIZE' })
  await bucket.delete('a')
  await bucket.put('b', Buffer.alloc(900))
  expect(() => bucket.signedUrl('b')).toThrow(expect.objectContaining({ code: 'STORAGE_ERR_UNSUPPORTED' }))
})
