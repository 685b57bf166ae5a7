import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type FaultProxy, type R2Server, startFaultProxy, startR2 } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Bucket, createStorage, defineUpload, r2, type Storage } from '../../src/index.ts'

const MiB = 2 ** 20
/** For what never answers: short, so that the tests are quick. Invariants are checked, never the time itself. */
const TIMEOUT = 300

let server: R2Server
let proxy: FaultProxy
let storage: Storage<'files'>
let files: Bucket
/** The same bucket with the short timeout. */
let hasty: Storage<'files'>
let hastyFiles: Bucket

function open(
  options: { readonly attempts?: number; readonly timeout?: number | '10s'; readonly url?: string } = {},
): Storage<'files'> {
  return createStorage({
    buckets: {
      files: r2({
        accountId: server.accountId,
        bucket: 'files',
        endpoint: options.url ?? proxy.url,
        credentials: server,
        timeout: options.timeout ?? '10s',
        attempts: options.attempts ?? 2,
      }),
    },
    memoryBudget: 24 * MiB,
    ticketSecret: 'a secret of the test suite, long enough',
    drain: 200,
  })
}

/** Nothing may stay in use after a failure, and nothing half may be visible. */
function expectClean(): void {
  for (const each of [storage, hasty]) {
    expect(each.health()).toMatchObject({ pending: 0, memory: { used: 0, waiting: 0 } })
  }
  expect(server.inspect('files').uploads).toEqual([])
}

async function sweepAll(): Promise<void> {
  // A request that nobody waits for any more may still take effect.
  await expect.poll(() => server.pending).toBe(0)
  for (const key of server.inspect('files').uploads) server.age('files', key, '1h')
  expect(await storage.sweep({ olderThan: '1m' })).toMatchObject({ failures: [] })
}

async function* chunksOf(bytes: Uint8Array, size = MiB) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const unavailable = { code: 'STORAGE_ERR_UNAVAILABLE', retryable: true }

beforeAll(async () => {
  server = await startR2({ buckets: ['files'] })
  proxy = await startFaultProxy(server.url)
  storage = open()
  files = storage.bucket('files')
  hasty = open({ timeout: TIMEOUT })
  hastyFiles = hasty.bucket('files')
  await files.put('small', 'hello')
})
afterEach(async () => {
  server.clearFaults()
  server.thaw()
  server.skewClock(0)
  await proxy.heal()
})
afterAll(async () => {
  await storage?.close()
  await hasty?.close()
  await proxy?.close()
  await server?.close()
})

describe('the provider', () => {
  it('is down: calls fail as unavailable, and work again when it is back', async () => {
    proxy.refuse()
    proxy.reset()
    await expect(files.put('down', 'x')).rejects.toMatchObject(unavailable)
    await expect(files.put('down', chunksOf(randomBytes(9 * MiB)))).rejects.toMatchObject(unavailable)
    await expect(files.get('small')).rejects.toMatchObject(unavailable)
    await expect(files.delete('small')).rejects.toMatchObject(unavailable)
    await expect(files.exists('small')).rejects.toMatchObject(unavailable)
    expectClean()
    await proxy.accept()
    expect(await (await files.get('small')).text()).toBe('hello')
    expect(await files.exists('down')).toBe(false)
  })

  it('restarts: a call over a connection that it closed is tried again', async () => {
    await files.head('small')
    await server.kill()
    await server.start()
    expect(await (await files.get('small')).text()).toBe('hello')
  })

  it('is frozen: every call fails within its tries, and works after', async () => {
    server.freeze()
    await expect(hastyFiles.get('small')).rejects.toMatchObject(unavailable)
    await expect(hastyFiles.put('frozen', chunksOf(randomBytes(9 * MiB)))).rejects.toMatchObject(unavailable)
    server.thaw()
    await files.put('frozen', 'now')
    expect(await (await files.get('frozen')).text()).toBe('now')
    // What the provider had taken in it does once it thaws: uploads are begun that nobody waits for.
    await sweepAll()
    expectClean()
  })

  it('is half-open: connections that are there and new ones give nothing; calls fail', async () => {
    await hastyFiles.head('small')
    proxy.set({ blackhole: true })
    await expect(hastyFiles.head('small')).rejects.toMatchObject(unavailable)
    await expect(hastyFiles.put('half-open', randomBytes(1_000))).rejects.toMatchObject(unavailable)
    await proxy.heal()
    proxy.reset()
    expect(await files.exists('small')).toBe(true)
  })

  it('is slow but moves: a transfer that takes many times the timeout is whole', async () => {
    const bytes = randomBytes(8 * MiB)
    await using slow = await startFaultProxy(server.url, { bandwidth: 3 * MiB, capacity: 65_536 })
    await using patient = open({ url: slow.url, timeout: TIMEOUT, attempts: 1 })
    await patient.bucket('files').put('slow', bytes)
    slow.set({ bandwidth: 6 * MiB })
    await using brisk = open({ url: slow.url, timeout: TIMEOUT })
    expect((await (await brisk.bucket('files').get('slow')).bytes()).equals(bytes)).toBe(true)
  })

  it('is read slowly: a reader that takes its time is not taken for a stall', async () => {
    const bytes = randomBytes(4 * MiB)
    await files.put('slow-reader', bytes)
    const read: Uint8Array[] = []
    for await (const chunk of (await hastyFiles.get('slow-reader')).body) {
      if (read.length === 0) await new Promise((resolve) => setTimeout(resolve, TIMEOUT * 3))
      read.push(chunk)
    }
    expect(Buffer.concat(read).equals(bytes)).toBe(true)
  })

  it.each([429, 500, 503] as const)('says %i once: the call is tried again', async (status) => {
    server.fault({ status, count: 1, operation: ['PutObject', 'UploadPart'] })
    await files.put(`once-${status}`, 'x')
    server.fault({ status, count: 1, operation: 'UploadPart' })
    await files.put(`once-large-${status}`, chunksOf(randomBytes(9 * MiB)))
    expect(await files.exists(`once-large-${status}`)).toBe(true)
  })

  it.each([
    [429, 'STORAGE_ERR_THROTTLED'],
    [500, 'STORAGE_ERR_UNAVAILABLE'],
    [503, 'STORAGE_ERR_UNAVAILABLE'],
  ] as const)('goes on saying %i: the call fails as %s', async (status, code) => {
    server.fault({ status, operation: ['PutObject', 'UploadPart', 'GetObject', 'ListObjectsV2'] })
    await expect(files.put('always', 'x')).rejects.toMatchObject({ code, retryable: true })
    // An answer that comes before a large part was sent may be lost with the connection.
    await expect(files.put('always', chunksOf(randomBytes(17 * MiB)))).rejects.toMatchObject({
      retryable: true,
    })
    await expect(files.get('small')).rejects.toMatchObject({ code })
    await expect(files.list().next()).rejects.toMatchObject({ code })
    expectClean()
    server.clearFaults()
    expect(await files.exists('always')).toBe(false)
  })

  it('loses its answer to a write once: no writer is told that it lost when it has won', async () => {
    for (const kind of [{ cut: 'after' }, { status: 500, when: 'after' }] as const) {
      const key = `lost-${Object.keys(kind)[0]}`
      server.fault({ ...kind, count: 1, operation: 'PutObject' })
      const { etag } = await files.put(key, 'mine', { ifNoneMatch: '*' })
      expect((await files.head(key)).etag).toBe(etag)
      await expect(files.put(key, 'mine', { ifNoneMatch: '*' })).rejects.toMatchObject({
        code: 'STORAGE_ERR_PRECONDITION',
      })
      server.fault({ ...kind, count: 1, operation: 'CompleteMultipartUpload' })
      const large = await files.put(`${key}-large`, chunksOf(randomBytes(9 * MiB)))
      expect(await files.head(`${key}-large`)).toMatchObject({ etag: large.etag, metadata: {} })
    }
    expectClean()
  })

  it('has another clock than this machine: calls and signed URLs work once the difference is known', async () => {
    const skewed = open()
    try {
      for (const by of [3_600_000, -3_600_000]) {
        server.skewClock(by)
        const bucket = skewed.bucket('files')
        expect(await (await bucket.get('small')).text()).toBe('hello')
        expect((await fetch(bucket.signedUrl('small'))).status).toBe(200)
      }
    } finally {
      await skewed.close()
    }
  })
})

describe('a connection that breaks', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

  it(`at any byte of a download: the object arrives whole all the same (seed ${seed})`, async () => {
    const bytes = randomBytes(100_000)
    await files.put('download', bytes)
    const cuts = [0, 1, 99_999, ...Array.from({ length: 6 }, (_, index) => (seed * (index + 7)) % 100_000)]
    for (const cut of cuts) {
      using _fault = server.fault({ operation: 'GetObject', prefix: 'download', cut, count: 1 })
      expect((await (await files.get('download')).bytes()).equals(bytes)).toBe(true)
      using _other = server.fault({ operation: 'GetObject', prefix: 'download', cut: cut % 1_000, count: 1 })
      const range = await files.get('download', { range: { start: 500, end: 1_499 } })
      expect((await range.bytes()).equals(bytes.subarray(500, 1_500))).toBe(true)
    }
  })

  it('again and again in a download: fails, and never gives a short object as a whole one', async () => {
    await files.put('download', randomBytes(100_000))
    server.fault({ operation: 'GetObject', prefix: 'download', cut: 0, skip: 1 })
    server.fault({ operation: 'GetObject', prefix: 'download', cut: 5_000, count: 1 })
    const stored = await files.get('download')
    await expect(stored.bytes()).rejects.toMatchObject(unavailable)
  })

  it('in a download of an object that was replaced meanwhile: fails, and never mixes the two', async () => {
    await files.put('replaced', Buffer.alloc(100_000, 'a'))
    server.fault({ operation: 'GetObject', prefix: 'replaced', cut: 50_000, count: 1 })
    const stored = await files.get('replaced')
    await files.put('replaced', Buffer.alloc(100_000, 'b'))
    let read = ''
    const reading = (async () => {
      for await (const chunk of stored.body) read += Buffer.from(chunk).toString()
    })()
    await expect(reading).rejects.toMatchObject({ code: 'STORAGE_ERR_PRECONDITION' })
    expect(read).toMatch(/^a*$/)
  })

  it('silently in the middle of a download: goes on elsewhere, or fails when everything is silent', async () => {
    const bytes = randomBytes(4 * MiB)
    await files.put('stall', bytes)
    const stored = await hastyFiles.get('stall')
    const iterator = stored.body[Symbol.asyncIterator]()
    await iterator.next()
    proxy.set({ blackhole: true })
    const rest = (async () => {
      for (let next = await iterator.next(); !next.done; next = await iterator.next());
    })()
    await expect(rest).rejects.toMatchObject(unavailable)
    await proxy.heal()
    proxy.reset()
    expect((await (await files.get('stall')).bytes()).equals(bytes)).toBe(true)
  })

  it(`at any byte of an upload: the object is whole, or it is not there (seed ${seed})`, async () => {
    const large = randomBytes(9 * MiB)
    const harms = [0, 1, seed % (8 * MiB), 8 * MiB - 1].map((cut) => ({ cut }))
    for (const harm of [...harms, { status: 500 } as const]) {
      server.fault({ operation: 'UploadPart', ...harm, count: 1 })
      await files.put('upload', chunksOf(large))
      expect((await (await files.get('upload')).bytes()).equals(large)).toBe(true)
      await files.delete('upload')
      server.fault({ operation: 'UploadPart', ...harm })
      await expect(files.put('upload', chunksOf(large))).rejects.toMatchObject(unavailable)
      server.clearFaults()
      expect(await files.exists('upload')).toBe(false)
      expectClean()
    }
    for (const cut of [0, 1, seed % 5_000, 4_999]) {
      server.fault({ operation: 'PutObject', cut, count: 1 })
      const bytes = randomBytes(5_000)
      await files.put('upload-small', bytes)
      expect((await (await files.get('upload-small')).bytes()).equals(bytes)).toBe(true)
    }
  })

  it(`at any byte of a direct upload: it can be sent again, and is the file or missing (seed ${seed})`, async () => {
    const type = 'application/pdf'
    const definition = defineUpload({ name: 'cut', bucket: 'files', accept: [type], maxBytes: 30 * MiB })
    const cuts = [0, 1, seed % 50_000, 49_999].map((cut) => ({ cut }))
    const late = [{ cut: 'after' }, { status: 500, when: 'after' }] as const
    const harms = [...cuts, { status: 500 } as const, ...late]
    for (const [size, some] of [[50_000, harms] as const, [17 * MiB, harms.slice(2, 6)] as const]) {
      const body = randomBytes(size)
      body.write('%PDF-1.7\n')
      for (const harm of some) {
        const issued = await storage.uploads.issue(definition, { subject: 'me', name: 'a', size, type })
        if (!issued.ok) throw new Error(issued.reason)
        const { ticket } = issued
        const request = { token: ticket.token, subject: 'me' }
        const parts = ticket.kind === 'put' ? [{ ...ticket, size }] : ticket.parts
        const send = async (index: number) => {
          const { url = '', headers = {}, size: length = 0 } = parts[index] ?? {}
          const start = ticket.kind === 'put' ? 0 : index * ticket.partSize
          const part = new Uint8Array(body.subarray(start, start + length))
          return await fetch(url, { method: 'PUT', headers, body: part }).then(
            ({ status }) => status,
            () => 'broken',
          )
        }
        server.fault({ operation: ['PutObject', 'UploadPart'], ...harm, count: 1 })
        expect([500, 'broken']).toContain(await send(0))
        const early = await storage.uploads.complete(definition, request)
        if (!early.ok) expect(early.reason).toBe('missing')
        // Written once: 412 when the first try had arrived whole.
        for (const index of parts.keys()) expect([200, 412]).toContain(await send(index))
        const done = await storage.uploads.complete(definition, request)
        if (!done.ok) throw new Error(done.reason)
        expect((await (await files.get(done.object.key)).bytes()).equals(body)).toBe(true)
      }
    }
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 7_200_000 })
    onTestFinished(() => void vi.useRealTimers())
    await sweepAll()
    expect(server.inspect('files').objects.filter((key) => key.startsWith('quarantine/'))).toEqual([])
    expectClean()
  })

  it('anywhere in complete(): can be repeated, and ends with the one object', async () => {
    const definition = defineUpload({
      name: 'doc',
      bucket: 'files',
      accept: ['text/plain'],
      maxBytes: 1_000,
    })
    for (const operation of ['HeadObject', 'GetObject', 'CopyObject'] as const) {
      for (const cut of ['before', 'after'] as const) {
        const issued = await storage.uploads.issue(definition, {
          subject: 'me',
          name: 'a.txt',
          size: 5,
          type: 'text/plain',
        })
        if (!issued.ok || issued.ticket.kind !== 'put') throw new Error('no ticket')
        const { url, headers, token } = issued.ticket
        await fetch(url, { method: 'PUT', body: 'hello', headers })
        const fault = server.fault({ operation, cut })
        const request = { token, subject: 'me' }
        await expect(storage.uploads.complete(definition, request)).rejects.toMatchObject(unavailable)
        fault[Symbol.dispose]()
        const done = await storage.uploads.complete(definition, request)
        if (!done.ok) throw new Error(done.reason)
        expect(await (await files.get(done.object.key)).text()).toBe('hello')
        expect((await storage.uploads.complete(definition, request)).ok).toBe(true)
      }
    }
  })
})

describe('the source', () => {
  it('falls silent: the put fails, its memory is free again, nothing is left', async () => {
    async function* silent() {
      yield randomBytes(9 * MiB)
      await new Promise(() => {})
    }
    await expect(files.put('silent', silent(), { sourceTimeout: 50 })).rejects.toMatchObject({
      code: 'STORAGE_ERR_SOURCE',
    })
    const stuck = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) })
    await expect(files.put('silent', stuck, { sourceTimeout: 50 })).rejects.toMatchObject({
      code: 'STORAGE_ERR_SOURCE',
    })
    expect(await files.exists('silent')).toBe(false)
    expectClean()
  })

  it('is silent when the caller aborts: the call ends at once with the reason', async () => {
    for (const size of [undefined, 100]) {
      const controller = new AbortController()
      const put = files.put('aborted', new ReadableStream({ pull: () => new Promise(() => {}) }), {
        signal: controller.signal,
        size,
      })
      controller.abort('no longer')
      await expect(put).rejects.toBe('no longer')
    }
    expectClean()
  })

  it('is one of fifty of unknown length with memory for two parts: all are served', async () => {
    const { accountId, url: endpoint } = server
    await using narrow = createStorage({
      buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server }) },
      memoryBudget: 16 * MiB,
    })
    const small = randomBytes(1_000)
    const large = randomBytes(9 * MiB)
    const puts = Array.from({ length: 50 }, (_, index) =>
      narrow.bucket('files').put(`narrow/${index}`, chunksOf(index % 25 === 0 ? large : small)),
    )
    const sizes = (await Promise.all(puts)).map(({ size }) => size)
    expect(sizes.filter((size) => size === large.length)).toHaveLength(2)
    expect(narrow.health().memory).toMatchObject({ used: 0, waiting: 0 })
  })

  it('takes all memory and is slow: others wait their turn and all are served', async () => {
    async function* slow() {
      for (let index = 0; index < 10; index++) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        yield randomBytes(MiB)
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, index) => files.put(`turn/${index}`, slow())))
    expectClean()
  })
})

describe('this process', () => {
  it('closes in the middle: what is under way fails, memory is free, new calls are refused', async () => {
    const closing = open()
    const sending = partOf('closing')
    async function* endless() {
      for (;;) {
        yield randomBytes(MiB)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const put = closing.bucket('files').put('closing', endless())
    const failed = expect(put).rejects.toMatchObject({ code: 'STORAGE_ERR_CLOSED' })
    await sending
    await closing.close()
    await failed
    expect(closing.health()).toMatchObject({ status: 'closed', pending: 0, memory: { used: 0 } })
    await sweepAll()
    expectClean()
  })

  it('is killed in mid-upload: nothing is visible, and a sweep leaves nothing', async () => {
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--conditions=@cays/source',
        fileURLToPath(new URL('uploader.ts', import.meta.url)),
      ],
      {
        env: {
          ...process.env,
          R2_URL: server.url,
          R2_ACCOUNT: server.accountId,
          R2_ID: server.accessKeyId,
          R2_SECRET: server.secretAccessKey,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    await Promise.race([partOf('killed'), once(child, 'exit')])
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await files.exists('killed')).toBe(false)
    expect(server.inspect('files').uploads).toEqual(['killed'])
    server.age('files', 'killed', '2d')
    expect(await storage.sweep()).toMatchObject({ uploads: 1, failures: [] })
    expectClean()
  })
})

/** Resolves when a part of this object has arrived. */
function partOf(key: string): Promise<void> {
  return new Promise((resolve) => {
    const listener = server.on('request', (request) => {
      if (request.operation !== 'UploadPart' || request.key !== key) return
      listener[Symbol.dispose]()
      resolve()
    })
  })
}
