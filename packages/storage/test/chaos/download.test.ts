import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Bucket, createStorage, r2, type Storage } from '../../src/index.ts'

const MiB = 2 ** 20
const OPTIONS = { partSize: MiB, connections: 4 }
const bytes = randomBytes(8 * MiB + 5)

let server: R2Server
let storage: Storage<'files'>
let files: Bucket
let folder: string
let to: string

beforeAll(async () => {
  server = await startR2({ buckets: ['files'] })
  const { accountId, url: endpoint } = server
  storage = createStorage({
    buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server, attempts: 2 }) },
    memoryBudget: 9 * MiB,
  })
  files = storage.bucket('files')
  folder = await mkdtemp(join(tmpdir(), 'cays-download-'))
  to = join(folder, 'file')
})
afterEach(async () => {
  server.clearFaults()
  await expect.poll(() => storage.health().memory.used).toBe(0)
  for (const name of await readdir(folder)) await rm(join(folder, name))
})
afterAll(async () => {
  await storage?.close()
  await server?.close()
  if (folder) await rm(folder, { recursive: true, force: true })
})

describe('a download over several connections', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

  it(`is whole when connections break at any byte (seed ${seed})`, async () => {
    await files.put('cut', bytes)
    for (const cut of [0, 1, seed % MiB, MiB - 1]) {
      server.fault({ operation: 'GetObject', cut, count: 3 })
      expect((await (await files.download('cut', OPTIONS)).bytes()).equals(bytes)).toBe(true)
      server.fault({ operation: 'GetObject', cut, count: 3 })
      await files.download('cut', { ...OPTIONS, to })
      expect((await readFile(to)).equals(bytes)).toBe(true)
    }
  })

  it('never mixes two objects: fails when it is replaced meanwhile, and leaves no file', async () => {
    for (const target of [undefined, to]) {
      await files.put('replaced', Buffer.alloc(8 * MiB, 'a'))
      // Held back until the replacement is there: it has as many seconds as there are parts left.
      server.fault({ operation: 'GetObject', latency: 1_000, skip: 2 })
      const one = { partSize: MiB / 16, connections: 1 }
      let read = ''
      const download = async () => {
        if (target) return await files.download('replaced', { ...one, to: target })
        for await (const chunk of (await files.download('replaced', one)).body) read += Buffer.from(chunk)
      }
      let gets = 0
      const replaced = new Promise((resolve, reject) => {
        const listener = server.on('request', ({ operation }) => {
          if (operation !== 'GetObject' || ++gets !== 2) return
          listener[Symbol.dispose]()
          files.put('replaced', Buffer.alloc(8 * MiB, 'b')).then(resolve, reject)
        })
      })
      await expect(download()).rejects.toMatchObject({ code: 'STORAGE_ERR_PRECONDITION' })
      expect(read).toMatch(/^a*$/)
      await replaced
      server.clearFaults()
    }
    expect(await readdir(folder)).not.toContain('file')
  })

  it('to a file goes on where it was interrupted, and starts again with another object', async () => {
    await files.put('resumed', bytes)
    server.fault({ operation: 'GetObject', status: 500, skip: 5 })
    await expect(files.download('resumed', { ...OPTIONS, connections: 2, to })).rejects.toMatchObject({
      code: 'STORAGE_ERR_UNAVAILABLE',
    })
    server.clearFaults()
    expect(await readdir(folder)).toEqual(['file.partial', 'file.partial.log'])
    const done = await files.download('resumed', { ...OPTIONS, to })
    expect(done.resumed).toBeGreaterThanOrEqual(4 * MiB)
    expect((await readFile(to)).equals(bytes)).toBe(true)
    expect(await readdir(folder)).toEqual(['file'])

    server.fault({ operation: 'GetObject', status: 500, skip: 5 })
    await expect(files.download('resumed', { ...OPTIONS, connections: 2, to })).rejects.toThrow()
    server.clearFaults()
    const other = randomBytes(8 * MiB)
    await files.put('resumed', other)
    expect(await files.download('resumed', { ...OPTIONS, to })).toMatchObject({ resumed: 0 })
    expect((await readFile(to)).equals(other)).toBe(true)
  })

  it('stops when its reader does or the caller aborts, and lets go of its memory', async () => {
    await files.put('stopped', bytes)
    for await (const _ of (await files.download('stopped', OPTIONS)).body) break
    const controller = new AbortController()
    const { signal } = controller
    const reading = async () => {
      for await (const _ of (await files.download('stopped', { ...OPTIONS, signal })).body)
        controller.abort('enough')
    }
    await expect(reading()).rejects.toBe('enough')
    await expect.poll(() => storage.health()).toMatchObject({ pending: 0, memory: { used: 0 } })
  })

  it('can be what a put reads, also many at once with memory for one of them', async () => {
    await files.put('piped', bytes)
    const pipes = Array.from({ length: 6 }, async (_, index) => {
      const { body } = await files.download('piped', OPTIONS)
      return await files.put(`piped/${index}`, body, { size: bytes.length })
    })
    await Promise.all(pipes)
    expect((await (await files.get('piped/5')).bytes()).equals(bytes)).toBe(true)
  })
})
