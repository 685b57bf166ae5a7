import { createHash, randomBytes } from 'node:crypto'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createStorage, defineUpload, r2, StorageError, type SweepReport } from '../../src/index.ts'
import { earlier } from '../support/earlier.ts'

const MiB = 2 ** 20
let server: R2Server
let storage: ReturnType<typeof open>

function open() {
  return createStorage({
    buckets: {
      private: r2({
        accountId: server.accountId,
        bucket: 'private',
        endpoint: server.url,
        credentials: server,
      }),
    },
    memoryBudget: 24 * MiB,
    ticketSecret: 'a secret of the test suite, long enough',
  })
}

const pdf = defineUpload({
  name: 'resume',
  bucket: 'private',
  accept: ['application/pdf'],
  maxBytes: 40 * MiB,
})

function pdfBytes(size: number): Buffer {
  const bytes = randomBytes(size)
  bytes.write('%PDF-1.7\n')
  return bytes
}

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const object of storage.bucket('private').list({ prefix })) keys.push(object.key)
  return keys
}

async function* chunksOf(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

beforeAll(async () => {
  server = await startR2({ buckets: ['private'] })
  storage = open()
})
afterAll(async () => {
  await storage?.close()
  await server?.close()
})

describe('put and get', () => {
  it.each([0, 1, 8 * MiB, 8 * MiB + 1, 20 * MiB])(
    'gives back the %i bytes of a stream of unknown length',
    async (size) => {
      const bucket = storage.bucket('private')
      const bytes = randomBytes(size)
      const put = await bucket.put(`stream/${size}`, chunksOf(bytes, 700_001), {
        contentType: 'application/x-test',
      })
      expect(put.size).toBe(size)
      const stored = await bucket.get(`stream/${size}`)
      expect(stored).toMatchObject({ size, contentType: 'application/x-test' })
      expect(
        createHash('sha256')
          .update(await stored.bytes())
          .digest('hex'),
      ).toBe(createHash('sha256').update(bytes).digest('hex'))
      expect(storage.health().memory.used).toBe(0)
    },
  )

  it('takes bytes, text and web streams', async () => {
    const bucket = storage.bucket('private')
    await bucket.put('kinds/bytes', Buffer.from('one'))
    await bucket.put('kinds/text', 'two – ü')
    await bucket.put('kinds/web', new Blob(['three']).stream(), { size: 5 })
    expect(await (await bucket.get('kinds/bytes')).text()).toBe('one')
    expect(await (await bucket.get('kinds/text')).text()).toBe('two – ü')
    expect(await (await bucket.get('kinds/web')).text()).toBe('three')
  })

  it('reads ranges and knows the size of the whole', async () => {
    const bucket = storage.bucket('private')
    await bucket.put('range', '0123456789')
    const part = await bucket.get('range', { range: { start: 2, end: 4 } })
    expect(part.size).toBe(10)
    expect(await part.text()).toBe('234')
    await expect(bucket.get('range', { range: { start: 99 } })).rejects.toMatchObject({
      code: 'STORAGE_ERR_RANGE',
    })
  })

  it('leaves nothing behind when the source lies about its size or fails', async () => {
    const bucket = storage.bucket('private')
    async function* failing() {
      yield randomBytes(9 * MiB)
      throw new Error('the disk is gone')
    }
    for (const [source, size, code] of [
      [chunksOf(randomBytes(10 * MiB), MiB), 9 * MiB, 'STORAGE_ERR_SIZE'],
      [chunksOf(randomBytes(10 * MiB), MiB), 11 * MiB, 'STORAGE_ERR_SIZE'],
      [chunksOf(randomBytes(5), 5), 4, 'STORAGE_ERR_SIZE'],
      [chunksOf(randomBytes(5), 5), 6, 'STORAGE_ERR_SIZE'],
      [failing(), undefined, 'STORAGE_ERR_SOURCE'],
    ] as const) {
      await expect(bucket.put('liar', source, { size })).rejects.toMatchObject({ code })
    }
    expect(await bucket.exists('liar')).toBe(false)
    expect(server.inspect('private').uploads).toEqual([])
    expect(storage.health().memory).toMatchObject({ used: 0, waiting: 0 })
  })

  it('gives the name of a key to one of twenty writers that race for it', async () => {
    const bucket = storage.bucket('private')
    const writes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => bucket.put('raced', `writer ${index}`, { ifNoneMatch: '*' })),
    )
    expect(writes.filter((write) => write.status === 'fulfilled')).toHaveLength(1)
    for (const write of writes) {
      if (write.status === 'rejected')
        expect(write.reason).toMatchObject({ code: 'STORAGE_ERR_PRECONDITION' })
    }
  })

  it('keeps six large puts at once inside the budget', async () => {
    const bucket = storage.bucket('private')
    let highest = 0
    const watch = setInterval(() => {
      highest = Math.max(highest, storage.health().memory.used)
    }, 1)
    const bytes = randomBytes(9 * MiB)
    await Promise.all(
      Array.from({ length: 6 }, (_, index) => bucket.put(`many/${index}`, chunksOf(bytes, MiB))),
    )
    clearInterval(watch)
    expect(highest).toBeGreaterThan(0)
    expect(highest).toBeLessThanOrEqual(24 * MiB)
    const { memory } = storage.health()
    expect(memory).toMatchObject({ used: 0, waiting: 0 })
    await bucket.deleteMany(Array.from({ length: 6 }, (_, index) => `many/${index}`))
  })

  it('stops at once when the caller aborts, and drops the parts that were sent', async () => {
    const bucket = storage.bucket('private')
    const controller = new AbortController()
    async function* endless() {
      for (let sent = 0; ; sent++) {
        if (sent === 12) controller.abort('enough')
        yield randomBytes(MiB)
      }
    }
    await expect(bucket.put('endless', endless(), { signal: controller.signal })).rejects.toBe('enough')
    expect(server.inspect('private').uploads).toEqual([])
    expect(storage.health().memory.used).toBe(0)
  })
})

describe('list, delete and copy', () => {
  it('lists every object under a prefix, page by page, and deletes them', async () => {
    const bucket = storage.bucket('private')
    const keys = Array.from({ length: 61 }, (_, index) => `list/${String(index).padStart(5, '0')}`)
    await Promise.all(keys.map((key) => bucket.put(key, key)))
    let pages = 0
    using _listener = server.on('request', ({ operation }) => {
      if (operation === 'ListObjectsV2') pages++
    })
    const listed: string[] = []
    for await (const { key } of bucket.list({ prefix: 'list/', pageSize: 25 })) listed.push(key)
    expect(listed).toEqual(keys)
    expect(pages).toBe(3)
    const outcomes = await bucket.deleteMany([...keys, 'list/never-was'])
    expect(outcomes.map(({ key }) => key)).toEqual([...keys, 'list/never-was'])
    expect(outcomes.every((outcome) => outcome.error === undefined)).toBe(true)
    expect(await keysUnder('list/')).toEqual([])
  })

  it('copies inside the bucket, and only while the source is what it was', async () => {
    const bucket = storage.bucket('private')
    const { etag } = await bucket.put('copy/from', 'v1', { contentType: 'text/plain' })
    await bucket.copy('copy/from', 'copy/to', { ifMatch: etag })
    expect(await (await bucket.get('copy/to')).text()).toBe('v1')
    await bucket.put('copy/from', 'v2')
    await expect(bucket.copy('copy/from', 'copy/to', { ifMatch: etag })).rejects.toMatchObject({
      code: 'STORAGE_ERR_PRECONDITION',
    })
  })
})

describe('signed URLs', () => {
  it('read an object under the name they say', async () => {
    const bucket = storage.bucket('private')
    await bucket.put('signed/a (1) ü+&=.txt', 'hello', { contentType: 'text/plain' })
    const answer = await fetch(bucket.signedUrl('signed/a (1) ü+&=.txt', { download: 'Über "uns".txt' }))
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe('hello')
    expect(answer.headers.get('content-disposition')).toContain("filename*=UTF-8''%C3%9Cber%20_uns_.txt")
  })

  it('write exactly what was signed and nothing else', async () => {
    const bucket = storage.bucket('private')
    const { url, headers } = bucket.signedUrl('signed/put', {
      method: 'PUT',
      size: 5,
      contentType: 'text/plain',
      writeOnce: true,
    })
    const put = (body: string, more: Record<string, string> = {}) =>
      fetch(url, { method: 'PUT', body, headers: { ...headers, ...more } }).then((answer) => answer.status)
    expect(await put('too long')).toBe(403)
    expect(await put('hello', { 'content-type': 'text/html' })).toBe(403)
    expect(
      await fetch(url.replace('signed/put', 'signed/other'), { method: 'PUT', body: 'hello', headers }).then(
        (answer) => answer.status,
      ),
    ).toBe(403)
    expect(await put('hello')).toBe(200)
    expect(await put('HELLO')).toBe(412)
    expect(await (await bucket.get('signed/put')).text()).toBe('hello')
  })
})

describe('uploads', () => {
  const person = { subject: 'user-1', name: 'Lebenslauf ü.pdf', type: 'application/pdf' }

  async function issued(size: number, sha256?: string) {
    const result = await storage.uploads.issue(pdf, { ...person, size, sha256 })
    if (!result.ok) throw new Error(result.reason)
    return result.ticket
  }

  async function send(ticket: Awaited<ReturnType<typeof issued>>, bytes: Buffer): Promise<number[]> {
    if (ticket.kind === 'put') {
      return [
        (await fetch(ticket.url, { method: 'PUT', body: new Uint8Array(bytes), headers: ticket.headers }))
          .status,
      ]
    }
    let at = 0
    const statuses: number[] = []
    for (const part of ticket.parts) {
      const body = new Uint8Array(bytes.subarray(at, at + part.size))
      statuses.push((await fetch(part.url, { method: 'PUT', body })).status)
      at += part.size
    }
    return statuses
  }

  it.each([2_000, 17 * MiB])('of %i bytes go straight to the bucket and come out proven', async (size) => {
    const bytes = pdfBytes(size)
    const sha256 = createHash('sha256').update(bytes).digest('base64')
    const ticket = await issued(size, sha256)
    expect(await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' })).toMatchObject({
      ok: false,
      reason: 'missing',
    })
    expect(new Set(await send(ticket, bytes))).toEqual(new Set([200]))
    const done = await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1', reread: true })
    expect(done).toMatchObject({
      ok: true,
      checksum: 'verified',
      replayed: false,
      object: { size, name: person.name },
    })
    if (!done.ok) return
    const stored = await storage.bucket('private').get(done.object.key)
    expect(stored).toMatchObject({ contentType: 'application/pdf', cacheControl: 'private, no-store' })
    expect(stored.contentDisposition).toContain('attachment')
    expect((await stored.bytes()).equals(bytes)).toBe(true)
    expect(await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' })).toMatchObject({
      ok: true,
      replayed: true,
      object: { key: done.object.key, etag: done.object.etag },
    })
  })

  it('cannot be changed after they were completed, by whoever still holds the ticket', async () => {
    const bytes = pdfBytes(3_000)
    const ticket = await issued(bytes.length)
    await send(ticket, bytes)
    const [first] = await Promise.all(
      Array.from({ length: 5 }, () =>
        storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' }),
      ),
    )
    expect(await send(ticket, pdfBytes(3_000))).toEqual([412])
    const again = await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' })
    expect(again).toMatchObject({ ok: true, replayed: true })
    if (!first?.ok) throw new Error('the first was refused')
    expect((await (await storage.bucket('private').get(first.object.key)).bytes()).equals(bytes)).toBe(true)
  })

  it('are refused before any byte when type or size are not accepted', async () => {
    const ask = (change: object) => storage.uploads.issue(pdf, { ...person, size: 10, ...change })
    expect(await ask({ type: 'text/html' })).toMatchObject({ ok: false, reason: 'type' })
    expect(await ask({ size: 0 })).toMatchObject({ ok: false, reason: 'size' })
    expect(await ask({ size: pdf.maxBytes + 1 })).toMatchObject({ ok: false, reason: 'size' })
  })

  it('are refused when the bytes are not what the type says', async () => {
    const html = Buffer.from('<html><script>alert(1)</script></html>')
    const ticket = await issued(html.length)
    expect(await send(ticket, html)).toEqual([200])
    expect(await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' })).toMatchObject({
      ok: false,
      reason: 'content',
    })
  })

  it('are refused with the ticket of somebody else, for something else, changed, or expired', async () => {
    const ticket = await issued(100)
    const complete = (token: unknown, subject = 'user-1', definition = pdf) =>
      storage.uploads.complete(definition, { token: token as string, subject })
    const other = defineUpload({
      name: 'avatar',
      bucket: 'private',
      accept: ['application/pdf'],
      maxBytes: 1_000,
    })
    for (const attempt of [
      complete(ticket.token, 'user-2'),
      complete(ticket.token, 'user-1', other),
      complete(`${ticket.token}x`),
      complete(`x${ticket.token}`),
      complete(ticket.token.split('.')[0]),
      complete(''),
      complete(undefined),
      complete({}),
      complete('x'.repeat(100_000)),
    ]) {
      expect(await attempt).toMatchObject({ ok: false, reason: 'ticket' })
    }
    const brief = defineUpload({
      name: 'brief',
      bucket: 'private',
      accept: ['application/pdf'],
      maxBytes: 1_000,
      expiresIn: '1s',
      completeWithin: 0,
    })
    const short = await earlier(() => storage.uploads.issue(brief, { ...person, size: 10 }))
    if (!short.ok) throw new Error('refused')
    expect(await complete(short.ticket.token, 'user-1', brief)).toMatchObject({
      ok: false,
      reason: 'expired',
    })
  })

  it('go on only with the file that they began with', async () => {
    const partMd5 = [1, 2, 3].map((each) => createHash('md5').update(`${each}`).digest('base64'))
    const issued = await storage.uploads.issue(pdf, { ...person, size: 17 * MiB, partMd5 })
    if (!issued.ok) throw new Error(issued.reason)
    const { token } = issued.ticket
    const resume = (digests: object) => storage.uploads.resume(pdf, { token, subject: 'user-1', ...digests })
    for (const others of [{}, { partMd5: partMd5.toReversed() }, { partMd5: partMd5.slice(1) }]) {
      expect(await resume(others)).toMatchObject({ ok: false, reason: 'checksum' })
    }
    const resumed = await resume({ partMd5 })
    if (!resumed.ok || resumed.ticket.kind !== 'multipart') throw new Error('no parts')
    expect(resumed.ticket.parts.map(({ headers }) => headers['content-md5'])).toEqual(partMd5)
    await storage.uploads.abort(pdf, { token, subject: 'user-1' })
    expect(await resume({ partMd5 }).catch(({ code }) => code)).toBe('STORAGE_ERR_NOT_FOUND')
  })

  it('are refused when the body was swapped for one of equal length', async () => {
    const bytes = pdfBytes(500)
    const ticket = await issued(500, createHash('sha256').update(bytes).digest('base64'))
    const [status] = await send(ticket, pdfBytes(500))
    expect(status).toBe(400)
    expect(await storage.uploads.complete(pdf, { token: ticket.token, subject: 'user-1' })).toMatchObject({
      ok: false,
      reason: 'missing',
    })
  })

  it('leave nothing behind once they are swept, and are not swept while they can be completed', async () => {
    const brief = defineUpload({
      name: 'swept',
      bucket: 'private',
      accept: ['application/pdf'],
      maxBytes: 40 * MiB,
      expiresIn: '1m',
      completeWithin: 0,
    })
    const alive = await issued(200)
    expect(await send(alive, pdfBytes(200))).toEqual([200])
    for (const size of [20 * MiB, 200]) {
      const result = await storage.uploads.issue(brief, { ...person, size })
      if (!result.ok) throw new Error(result.reason)
      if (size === 200) expect(await send(result.ticket, pdfBytes(200))).toEqual([200])
    }
    const { objects, uploads } = server.inspect('private')
    for (const key of [...objects, ...uploads].filter((key) => key.startsWith('quarantine/'))) {
      server.age('private', key, '2d')
    }
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 })
    onTestFinished(() => void vi.useRealTimers())
    const swept: SweepReport[] = []
    using _listener = storage.on('swept', (told) => void swept.push(told))
    const report = await storage.sweep()
    expect(report).toMatchObject({ objects: 1, failures: [] })
    expect(swept).toEqual([report])
    expect(server.inspect('private').uploads).toEqual([])
    expect(await storage.uploads.complete(pdf, { token: alive.token, subject: 'user-1' })).toMatchObject({
      ok: true,
    })
  })
})

describe('close', () => {
  it('refuses new calls and is idempotent', async () => {
    const other = open()
    await Promise.all([other.close(), other.close()])
    await expect(other.bucket('private').put('x', 'x')).rejects.toBeInstanceOf(StorageError)
    await expect(other.bucket('private').head('x')).rejects.toMatchObject({ code: 'STORAGE_ERR_CLOSED' })
  })
})
