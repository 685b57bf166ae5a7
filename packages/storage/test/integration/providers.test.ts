import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCephRgw } from '../../../../test/servers/ceph-rgw.ts'
import {
  type Bucket,
  type BucketSource,
  createStorage,
  defineUpload,
  disk,
  type LocalBucketSource,
  memory,
  type Storage,
  s3,
  type UploadTicket,
} from '../../src/index.ts'

const MiB = 2 ** 20

interface Running {
  readonly source: BucketSource
  close(): Promise<void>
}

async function runR2(): Promise<Running> {
  const server = await startR2({ buckets: ['files'] })
  const { url } = server
  return {
    // As `r2` has it, but for the size of a copy, which nobody wants to reach in a test.
    source: s3({
      bucket: 'files',
      endpoint: url,
      credentials: server,
      capabilities: { conditionalMultipart: false, equalParts: true, maxCopyBytes: 16 * MiB },
    }),
    close: () => server.close(),
  }
}

async function runCeph(): Promise<Running> {
  const server = await startCephRgw()
  const { accessKeyId, secretAccessKey, url, region } = server
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint: url, region, credentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: 'files' }))
  client.destroy()
  return {
    source: s3({
      bucket: 'files',
      endpoint: url,
      region,
      credentials,
      // What Ceph 16 accepts and ignores.
      capabilities: {
        conditionalMultipart: false,
        conditionalCopy: false,
        verifiesSha256: false,
        maxCopyBytes: 16 * MiB,
      },
    }),
    close: () => server.close(),
  }
}

/** A bucket of this machine behind its own little server. */
async function runLocal(
  make: (url: string) => LocalBucketSource,
  clean?: () => Promise<void>,
): Promise<Running> {
  let source: LocalBucketSource | undefined
  const server = createServer((request, response) => source?.handler(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  source = make(`http://127.0.0.1:${(server.address() as AddressInfo).port}/files`)
  return {
    source,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await clean?.()
    },
  }
}

async function runDisk(): Promise<Running> {
  const root = await mkdtemp(join(tmpdir(), 'cays-disk-'))
  return await runLocal(
    (url) => disk({ root, url, secret: 'a secret of the test suite, long enough' }),
    () => rm(root, { recursive: true, force: true }),
  )
}

describe.each([
  { name: 'R2', run: runR2 },
  { name: 'Ceph RGW', run: runCeph },
  { name: 'disk', run: runDisk },
  { name: 'memory', run: () => runLocal((url) => memory({ url })) },
])('$name', ({ run }) => {
  let running: Running
  let storage: Storage<'files'>
  let files: Bucket

  const pdf = defineUpload({ name: 'doc', bucket: 'files', accept: ['application/pdf'], maxBytes: 30 * MiB })
  const image = defineUpload({ name: 'photo', bucket: 'files', accept: ['image/png'], maxBytes: 10_000 })

  beforeAll(async () => {
    running = await run()
    storage = createStorage({
      buckets: { files: running.source },
      ticketSecret: 'a secret of the test suite, long enough',
    })
    files = storage.bucket('files')
  })
  afterAll(async () => {
    await storage?.close()
    await running?.close()
  })

  async function ticketFor(size: number, sha256?: string, definition = pdf): Promise<UploadTicket> {
    const [type = ''] = definition.accept
    const issued = await storage.uploads.issue(definition, {
      subject: 'me',
      name: 'a.pdf',
      size,
      type,
      sha256,
    })
    if (!issued.ok) throw new Error(issued.reason)
    return issued.ticket
  }

  async function send(ticket: UploadTicket, body: Uint8Array, more: Record<string, string> = {}) {
    if (ticket.kind === 'put') {
      const headers = { ...ticket.headers, ...more }
      const answer = await fetch(ticket.url, { method: 'PUT', body: new Uint8Array(body), headers })
      return answer.status
    }
    let at = 0
    let status = 0
    for (const { url, size } of ticket.parts) {
      const part = new Uint8Array(body.subarray(at, at + size))
      status = (await fetch(url, { method: 'PUT', body: part })).status
      at += size
    }
    return status
  }

  const complete = ({ token }: UploadTicket, reread = false) =>
    storage.uploads.complete(pdf, { token, subject: 'me', reread })

  function pdfOf(size: number): Buffer {
    const bytes = randomBytes(size)
    bytes.write('%PDF-1.7\n')
    return bytes
  }

  it.each([0, 1, 9 * MiB])('keeps %i bytes with all that is said of them', async (size) => {
    const bytes = randomBytes(size)
    const key = `odd/(1) ü+&=%20 日本/${size}`
    await files.put(key, new Blob([bytes]).stream(), {
      contentType: 'application/x-test',
      download: 'Über.bin',
      cacheControl: 'no-store',
      metadata: { of: 'test' },
    })
    const stored = await files.get(key)
    expect(stored).toMatchObject({
      size,
      contentType: 'application/x-test',
      cacheControl: 'no-store',
      metadata: { of: 'test' },
    })
    expect(stored.contentDisposition).toContain('%C3%9Cber.bin')
    expect((await stored.bytes()).equals(bytes)).toBe(true)
    await files.delete(key)
    expect(await files.exists(key)).toBe(false)
  })

  it('reads ranges, copies, lists page by page and deletes', async () => {
    const { etag } = await files.put('dir/00', '0123456789')
    expect(await (await files.get('dir/00', { range: { start: 3, end: 5 }, ifMatch: etag })).text()).toBe(
      '345',
    )
    await expect(files.get('dir/00', { ifMatch: 'other' })).rejects.toMatchObject({
      code: 'STORAGE_ERR_PRECONDITION',
    })
    const keys = Array.from({ length: 7 }, (_, index) => `dir/0${index}`)
    await Promise.all(keys.slice(1).map((key) => files.copy('dir/00', key)))
    const listed: string[] = []
    for await (const object of files.list({ prefix: 'dir/', pageSize: 3 })) listed.push(object.key)
    expect(listed).toEqual(keys)
    expect((await files.deleteMany(keys)).filter(({ error }) => error)).toEqual([])
  })

  it('downloads over several connections: in order, and to a file that appears whole', async () => {
    const bytes = randomBytes(9 * MiB + 7)
    const { etag } = await files.put('large', bytes)
    const options = { partSize: MiB, connections: 4 }
    const stored = await files.download('large', { ...options, ifMatch: etag })
    expect((await stored.bytes()).equals(bytes)).toBe(true)
    const folder = await mkdtemp(join(tmpdir(), 'cays-download-'))
    try {
      const to = join(folder, 'file')
      expect(await files.download('large', { ...options, to })).toMatchObject({
        size: bytes.length,
        resumed: 0,
      })
      expect((await readFile(to)).equals(bytes)).toBe(true)
      expect(await readdir(folder)).toEqual(['file'])
      await files.put('empty', '')
      await files.download('empty', { to })
      expect(await readFile(to)).toHaveLength(0)
    } finally {
      await rm(folder, { recursive: true })
    }
    await expect(files.download('large', { ifMatch: 'other' })).rejects.toMatchObject({
      code: 'STORAGE_ERR_PRECONDITION',
    })
    await expect(files.download('none')).rejects.toMatchObject({ code: 'STORAGE_ERR_NOT_FOUND' })
    expect(storage.health().memory.used).toBe(0)
  })

  it('copies in parts what one request cannot copy', async () => {
    const bytes = randomBytes(17 * MiB)
    await files.put('copied/from', bytes, { contentType: 'application/x-test', metadata: { of: 'test' } })
    const { etag } = await files.copy('copied/from', 'copied/to')
    const stored = await files.get('copied/to')
    expect(stored).toMatchObject({ etag, contentType: 'application/x-test', metadata: { of: 'test' } })
    expect((await stored.bytes()).equals(bytes)).toBe(true)
  })

  it('decides conditions of a write: one of ten writers wins', async () => {
    const writes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => files.put('raced', `writer ${index}`, { ifNoneMatch: '*' })),
    )
    const won = writes.filter((write) => write.status === 'fulfilled')
    expect(won).toHaveLength(1)
    const { etag } = await files.head('raced')
    await files.put('raced', 'next', { ifMatch: etag })
    await expect(files.put('raced', 'late', { ifMatch: etag })).rejects.toMatchObject({
      code: 'STORAGE_ERR_PRECONDITION',
    })
  })

  it.each([2_000, 20 * MiB])('takes uploads of %i bytes and proves them', async (size) => {
    const bytes = pdfOf(size)
    const ticket = await ticketFor(size, createHash('sha256').update(bytes).digest('base64'))
    expect(await complete(ticket)).toMatchObject({ reason: 'missing' })
    expect(await send(ticket, bytes)).toBe(200)
    const done = await complete(ticket, true)
    expect(done).toMatchObject({ ok: true, checksum: 'verified' })
    if (done.ok) expect((await (await files.get(done.object.key)).bytes()).equals(bytes)).toBe(true)
  })

  it('refuses a body that is longer, shorter or of another type than was signed', async () => {
    const ticket = await ticketFor(500)
    expect(await send(ticket, pdfOf(501))).toBe(403)
    expect(await send(ticket, pdfOf(499))).toBe(403)
    expect(await send(ticket, pdfOf(500), { 'content-type': 'text/html' })).toBe(403)
    expect(await complete(ticket)).toMatchObject({ reason: 'missing' })
  })

  it('refuses a URL that was changed anywhere', async () => {
    const ticket = await ticketFor(500)
    if (ticket.kind !== 'put') throw new Error('put expected')
    for (const url of [
      ticket.url.replace('quarantine/', 'doc/'),
      ticket.url.replace(/X-Amz-Expires=\d+/, 'X-Amz-Expires=604800'),
      ticket.url.replace(/X-Amz-Signature=.{4}/, 'X-Amz-Signature=0000'),
      ticket.url.replace('%3Bif-none-match', ''),
      `${ticket.url}&x-amz-acl=public-read`,
    ]) {
      expect(url).not.toBe(ticket.url)
      expect(await send({ ...ticket, url }, pdfOf(500))).toBe(403)
    }
  })

  it('refuses what is not what its type says: HTML, SVG, a PDF behind HTML, a zip, a JPEG', async () => {
    const png = { definition: image, type: 'image/png' }
    for (const [text, definition] of [
      ['<html><script>alert(1)</script></html>', pdf],
      ['<html>%PDF-1.7', pdf],
      ['PK\u0003\u0004 %PDF-1.7', pdf],
      ['<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>', png.definition],
      ['%PDF-1.7 or so it says', png.definition],
    ] as const) {
      const body = Buffer.from(text)
      const ticket = await ticketFor(body.length, undefined, definition)
      expect(await send(ticket, body)).toBe(200)
      expect(
        await storage.uploads.complete(definition, { token: ticket.token, subject: 'me' }),
      ).toMatchObject({ ok: false, reason: 'content' })
    }
  })

  it('promotes what was inspected, however many write and complete at once', async () => {
    for (let round = 0; round < 3; round++) {
      const ticket = await ticketFor(3_000)
      const bodies = Array.from({ length: 8 }, () => pdfOf(3_000))
      const results = await Promise.all([
        ...bodies.map((body) => send(ticket, body)),
        ...Array.from({ length: 4 }, () => complete(ticket)),
      ])
      const statuses = results.filter((result) => typeof result === 'number')
      expect(statuses.filter((status) => status === 200)).toHaveLength(1)
      const winner = bodies[statuses.indexOf(200)]
      expect(await send(ticket, pdfOf(3_000))).toBe(412)
      const done = await complete(ticket)
      if (!done.ok) throw new Error(done.reason)
      expect((await (await files.get(done.object.key)).bytes()).equals(winner ?? Buffer.alloc(0))).toBe(true)
    }
  })

  it('notices a body swapped at equal length: at once, or when it reads again', async () => {
    const sha256 = createHash('sha256').update(pdfOf(400)).digest('base64')
    const ticket = await ticketFor(400, sha256)
    const status = await send(ticket, pdfOf(400))
    if (files.capabilities.verifiesSha256) {
      expect(status).toBe(400)
      expect(await complete(ticket)).toMatchObject({ reason: 'missing' })
    } else {
      expect(await complete(ticket, true)).toMatchObject({ ok: false, reason: 'checksum' })
    }
  })

  it('sweeps without a failure', async () => {
    expect(await storage.sweep({ olderThan: '1m' })).toMatchObject({ failures: [] })
  })
})
