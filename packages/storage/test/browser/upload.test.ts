import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type R2Server, startR2 } from '@cays/testkit'
import express from 'express'
import { type Browser, chromium, type Page } from 'playwright-core'
import { build, type Rollup } from 'vite'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { UploadState } from '../../src/browser.ts'
import { expressUploads } from '../../src/express.ts'
import { createStorage, defineUpload, r2, type Storage, type UploadedObject } from '../../src/index.ts'

const MiB = 2 ** 20
const SIZE = 36 * MiB
const WAIT = { timeout: 60_000 }

let server: R2Server
let storage: Storage<'files'>
let site: Server
let browser: Browser
let page: Page
let folder: string
let url: string
/** Parts that the page knows to have arrived, in their order. */
let parts: number[] = []

const film = defineUpload({ name: 'film', bucket: 'files', accept: ['application/pdf'], maxBytes: 100 * MiB })

async function bundle(): Promise<string> {
  const [built] = (await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['@cays/source'] },
    build: {
      write: false,
      lib: { entry: fileURLToPath(new URL('../../src/browser.ts', import.meta.url)), formats: ['es'] },
    },
  })) as Rollup.RollupOutput[]
  return built?.output[0].code ?? ''
}

const PAGE = `<!doctype html><input type=file><script type=module>
  import { BrowserUpload, uploadEndpoint } from '/client.js'
  document.querySelector('input').onchange = ({ target }) => {
    const options = { memory: localStorage, concurrency: 1 }
    window.upload = new BrowserUpload(target.files[0], uploadEndpoint('/uploads/film'), options)
    window.seen = []
    upload.subscribe(() => seen.push(upload.state))
    upload.start()
  }
  window.ready = true
</script>`

beforeAll(async () => {
  server = await startR2({
    buckets: ['files'],
    cors: [
      { AllowedOrigins: ['*'], AllowedMethods: ['PUT'], AllowedHeaders: ['*'], ExposeHeaders: ['ETag'] },
    ],
  })
  const { accountId, url: endpoint } = server
  storage = createStorage({
    buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server }) },
    ticketSecret: 'a secret of the test suite, long enough',
  })
  const client = await bundle()
  const app = express()
  app.get('/', (_, response) => void response.type('html').send(PAGE))
  app.get('/client.js', (_, response) => void response.type('js').send(client))
  app.use('/uploads', expressUploads({ storage, uploads: { film }, subject: () => 'me' }))
  site = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  folder = await mkdtemp(join(tmpdir(), 'cays-browser-'))
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  })
  page = await browser.newPage()
  page.on('response', (answer) => {
    const part = new URL(answer.url()).searchParams.get('partNumber')
    if (part && answer.request().method() === 'PUT' && answer.ok()) parts.push(Number(part))
  })
}, 120_000)
afterEach(() => server.clearFaults())
afterAll(async () => {
  await browser?.close()
  site?.closeAllConnections()
  await new Promise((resolve) => site?.close(resolve) ?? resolve(undefined))
  await storage?.close()
  await server?.close()
  if (folder) await rm(folder, { recursive: true, force: true })
})

type Global = typeof globalThis & {
  readonly ready: boolean
  readonly seen: readonly UploadState<UploadedObject>[]
  readonly upload: {
    readonly state: UploadState<UploadedObject>
    start(): void
    pause(): void
    abort(): void
  }
}

async function choose(bytes: Buffer, name: string): Promise<void> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  await open(path)
}

async function open(path: string): Promise<void> {
  await page.goto(url)
  await page.waitForFunction(() => (globalThis as Global).ready)
  await page.setInputFiles('input', path)
}

const state = () => page.evaluate(() => (globalThis as Global).upload.state)
const phaseIs = (phase: string) =>
  expect.poll(async () => (await state()).phase, { ...WAIT, interval: 20 }).toBe(phase)

function pdf(size: number): Buffer {
  const bytes = randomBytes(size)
  bytes.write('%PDF-1.7\n')
  return bytes
}

async function stored(): Promise<Buffer> {
  const { result } = await state()
  return await (await storage.bucket('files').get(result?.key ?? '')).bytes()
}

/** The part after the next one is held back until the page gives it up, however long that takes. */
function stopAfterOnePart(): void {
  server.clearFaults()
  server.fault({ operation: 'UploadPart', latency: '10m', skip: 1 })
}

it('sends a small file from the page to the bucket, hashed, and shows its progress', async () => {
  const bytes = pdf(3 * MiB)
  await choose(bytes, 'small.pdf')
  await phaseIs('done')
  expect((await stored()).equals(bytes)).toBe(true)
  const seen = await page.evaluate(() => (globalThis as Global).seen)
  expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(['preparing', 'sending', 'completing', 'done'])
  const sent = seen.map((each) => each.sent)
  expect(sent).toEqual([...sent].sort((a, b) => a - b))
  expect(sent.at(-1)).toBe(bytes.length)
})

it('pauses and goes on, survives a reload, and sends no part twice', async () => {
  const bytes = pdf(SIZE)
  parts = []
  stopAfterOnePart()
  await choose(bytes, 'large.pdf')
  await expect.poll(() => parts, WAIT).toEqual([1])
  await page.evaluate(() => (globalThis as Global).upload.pause())
  expect(await state()).toMatchObject({ phase: 'paused', total: SIZE })
  expect((await state()).sent).toBeGreaterThan(0)
  stopAfterOnePart()
  await page.evaluate(() => (globalThis as Global).upload.start())
  await expect.poll(() => parts, WAIT).toEqual([1, 2])
  await page.evaluate(() => (globalThis as Global).upload.pause())
  server.clearFaults()
  await open(join(folder, 'large.pdf'))
  await phaseIs('done')
  expect(parts).toEqual([1, 2, 3, 4, 5])
  expect((await stored()).equals(bytes)).toBe(true)
  expect(await page.evaluate(() => localStorage.length)).toBe(0)
})

it('tries broken connections again by itself', async () => {
  server.fault({ operation: 'UploadPart', cut: 1 * MiB, count: 2 })
  server.fault({ operation: 'UploadPart', status: 503, count: 1 })
  const bytes = pdf(17 * MiB)
  await choose(bytes, 'broken.pdf')
  await phaseIs('done')
  expect((await stored()).equals(bytes)).toBe(true)
  const seen = await page.evaluate(() => (globalThis as Global).seen)
  expect(seen.map(({ phase }) => phase)).toContain('waiting')
})

it('says why a file is refused: by the server before it is sent, by its content after', async () => {
  await choose(Buffer.from('hello'), 'note.txt')
  await phaseIs('failed')
  await choose(Buffer.from('<html>not a PDF</html>'), 'page.pdf')
  await phaseIs('failed')
  const failure = await page.evaluate(() => {
    const error = (globalThis as Global).upload.state.error as {
      readonly reason: string
      readonly name: string
    }
    return { reason: error.reason, name: error.name }
  })
  expect(failure).toEqual({ reason: 'content', name: 'UploadRefused' })
})

it('drops what has arrived when the file is given up', async () => {
  stopAfterOnePart()
  await choose(pdf(SIZE), 'dropped.pdf')
  await expect
    .poll(() => page.evaluate(() => (globalThis as Global).upload.state.sent), WAIT)
    .toBeGreaterThan(0)
  expect(server.inspect('files').uploads).toHaveLength(1)
  await page.evaluate(() => (globalThis as Global).upload.abort())
  await expect.poll(() => server.inspect('files').uploads, WAIT).toEqual([])
})
