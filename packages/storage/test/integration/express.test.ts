import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type R2Server, startR2 } from '@cays/testkit'
import express from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { expressObject, expressUploads } from '../../src/express.ts'
import {
  type Bucket,
  createStorage,
  defineUpload,
  r2,
  type Storage,
  type UploadedObject,
} from '../../src/index.ts'

const MiB = 2 ** 20
let server: R2Server
let storage: Storage<'files'>
let files: Bucket
let site: Server
let url: string
const kept: UploadedObject[] = []

const note = defineUpload({ name: 'note', bucket: 'files', accept: ['text/plain'], maxBytes: 1_000 })

beforeAll(async () => {
  server = await startR2({ buckets: ['files'] })
  const { accountId, url: endpoint } = server
  storage = createStorage({
    buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server, attempts: 1 }) },
    ticketSecret: 'a secret of the test suite, long enough',
  })
  files = storage.bucket('files')
  const app = express()
  const subject = (request: express.Request) => request.get('x-user')
  const completed = (object: UploadedObject) => {
    kept.push(object)
    return { id: kept.length }
  }
  app.use('/uploads', expressUploads({ storage, uploads: { note }, subject, completed }))
  app.use('/parsed', express.json(), expressUploads({ storage, uploads: { note }, subject }))
  app.use(
    '/files',
    expressObject({ bucket: files, key: ({ path }) => (path === '/' ? undefined : path.slice(1)) }),
  )
  app.use(
    (error: unknown, _request: express.Request, response: express.Response, _next: express.NextFunction) => {
      response.status(503).send((error as { readonly code?: string }).code)
    },
  )
  site = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
})
afterEach(() => server.clearFaults())
afterAll(async () => {
  site?.closeAllConnections()
  await new Promise((resolve) => site?.close(resolve) ?? resolve(undefined))
  await storage?.close()
  await server?.close()
})

interface Ticket {
  readonly token: string
  readonly url?: string
  readonly headers: Record<string, string>
}

describe('expressUploads', () => {
  async function ask(path: string, body: unknown, headers: Record<string, string> = { 'x-user': 'me' }) {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const json = (await answer.json().catch(() => ({}))) as Record<string, never>
    return { status: answer.status, json }
  }
  const file = { name: 'a.txt', size: 5, type: 'text/plain' }

  it.each(['/uploads', '/parsed'])('takes a file from ticket to object at %s', async (base) => {
    const events: string[] = []
    using _refused = storage.on('refused', ({ reason }) => void events.push(`refused ${reason}`))
    using _completed = storage.on('completed', () => void events.push('completed'))
    const issued = await ask(`${base}/note/issue`, file)
    expect(issued.status).toBe(200)
    const { token, url: target = '', headers } = issued.json.ticket as never as Ticket
    expect(await ask(`${base}/note/complete`, { token })).toMatchObject({
      status: 409,
      json: { reason: 'missing' },
    })
    const resumed = await ask(`${base}/note/resume`, { token })
    expect(resumed).toMatchObject({ status: 200, json: { ticket: { kind: 'put', token } } })
    expect((await fetch(target, { method: 'PUT', body: 'hello', headers })).status).toBe(200)
    const done = await ask(`${base}/note/complete`, { token })
    expect(done).toMatchObject({ status: 200, json: { ok: true } })
    if (base === '/uploads') expect(done.json.result).toEqual({ id: kept.length })
    expect(events).toEqual(['refused missing', 'completed'])
    expect(await ask(`${base}/note/abort`, { token })).toMatchObject({ status: 200 })
  })

  it('refuses strangers, other types, broken requests and names it does not know', async () => {
    expect(await ask('/uploads/note/issue', file, {})).toMatchObject({ status: 401 })
    expect(await ask('/uploads/note/issue', { ...file, type: 'text/html' })).toMatchObject({
      status: 422,
      json: { reason: 'type' },
    })
    expect(await ask('/uploads/note/issue', { ...file, sha256: 'x' })).toMatchObject({ status: 400 })
    expect(await ask('/uploads/note/issue', '{')).toMatchObject({ status: 400 })
    expect(
      await ask('/uploads/note/issue', 'a=b', { 'x-user': 'me', 'content-type': 'text/plain' }),
    ).toMatchObject({
      status: 400,
    })
    expect(await ask('/uploads/other/issue', file)).toMatchObject({ status: 404 })
    const issued = await ask('/uploads/note/issue', file)
    const { token } = issued.json.ticket as never as Ticket
    expect(await ask('/uploads/note/complete', { token }, { 'x-user': 'you' })).toMatchObject({
      status: 422,
      json: { reason: 'ticket' },
    })
  })
})

describe('expressObject', () => {
  const bytes = randomBytes(2 * MiB)
  const get = (key: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${url}/files/${key}`, { headers, method })

  beforeAll(async () => {
    await files.put('photo.png', bytes, { contentType: 'image/png', cacheControl: 'max-age=60' })
    await files.put('page', '<script>alert(1)</script>', { contentType: 'text/html' })
  })

  it('streams an object with all that a browser needs to know', async () => {
    const answer = await get('photo.png')
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(bytes.length),
      'accept-ranges': 'bytes',
      'cache-control': 'max-age=60',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    })
    expect(answer.headers.get('content-disposition')).toBeNull()
    const head = await get('photo.png', {}, 'HEAD')
    expect(head.headers.get('etag')).toBe(answer.headers.get('etag'))
    expect(head.headers.get('content-length')).toBe(String(bytes.length))
  })

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=5-9', 5, 10],
    ['bytes=100-', 100, 2 * MiB],
    ['bytes=-7', 2 * MiB - 7, 2 * MiB],
    ['bytes=10-99999999', 10, 2 * MiB],
  ])('gives the range %s', async (range, start, end) => {
    const answer = await get('photo.png', { range })
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${bytes.length}`)
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(start, end))).toBe(true)
  })

  it('answers ETags: unchanged, and ranges of a version that is gone', async () => {
    const etag = (await get('photo.png', {}, 'HEAD')).headers.get('etag') ?? ''
    expect((await get('photo.png', { 'if-none-match': etag })).status).toBe(304)
    expect((await get('photo.png', { 'if-none-match': 'W/"x", *' })).status).toBe(304)
    expect((await get('photo.png', { range: 'bytes=0-9', 'if-range': etag })).status).toBe(206)
    expect((await get('photo.png', { range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200)
    expect((await get('photo.png', { range: 'bytes=99999999-' })).status).toBe(416)
    expect((await get('photo.png', { range: 'lines=1-2' })).status).toBe(200)
  })

  it('gives what could run as a download in a sandbox', async () => {
    const answer = await get('page')
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(answer.headers.get('content-security-policy')).toContain('sandbox')
  })

  it('leaves to others what is not there, and what the provider fails at', async () => {
    expect((await get('none')).status).toBe(404)
    expect((await get('')).status).toBe(404)
    server.fault({ operation: 'GetObject', status: 503 })
    expect((await get('photo.png')).status).toBe(503)
  })

  it('breaks the connection when the object cannot be read to its end', async () => {
    server.fault({ operation: 'GetObject', status: 500, skip: 1 })
    server.fault({ operation: 'GetObject', cut: MiB, count: 1 })
    await expect(get('photo.png').then((answer) => answer.arrayBuffer())).rejects.toThrow()
  })

  it('stops reading when the reader goes away', async () => {
    for (let round = 0; round < 5; round++) {
      await new Promise<void>((resolve, reject) => {
        const request = httpRequest(`${url}/files/photo.png`, (response) => {
          response.once('data', () => {
            request.destroy()
            resolve()
          })
        })
        request.on('error', reject)
        request.end()
      })
    }
    await expect.poll(() => storage.health().pending).toBe(0)
  })
})
