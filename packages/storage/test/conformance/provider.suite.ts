import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bucket, type BucketSource, createStorage, type Storage } from '../../src/index.ts'
import { damagingProxy } from '../support/damaging-proxy.ts'
import { complete, pdfOf, refusesAttacks, send, ticketFor } from './attacks.suite.ts'

const MiB = 2 ** 20

/** A server, and the bucket `files` on it as the app names it. */
export interface Running {
  readonly source: BucketSource
  /** Where a server is, and the same bucket at another address. */
  readonly remote?: { readonly url: string; sourceAt(url: string): BucketSource }
  close(): Promise<void>
}

/**
 * What every provider does alike, and what those that are `remote` do. `run` may set the most bytes of one copy to
 * 8 MiB, so that a test can reach it.
 */
export function behavesAsProvider(name: string, kind: 'local' | 'remote', run: () => Promise<Running>): void {
  describe(name, () => {
    let running: Running
    let storage: Storage<'files'>
    let files: Bucket

    const target = () => ({ storage, files })

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

    refusesAttacks(target)

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
      const bytes = randomBytes(3 * MiB + 7)
      const { etag } = await files.put('large', bytes)
      const options = { partSize: MiB / 2, connections: 4 }
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
      const bytes = randomBytes(9 * MiB)
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

    it.each([2_000, 17 * MiB])('takes uploads of %i bytes and proves them', async (size) => {
      const bytes = pdfOf(size)
      const ticket = await ticketFor(target(), size, { hashOf: bytes })
      expect(await complete(target(), ticket)).toMatchObject({ reason: 'missing' })
      expect(await send(ticket, bytes)).toBe(200)
      const done = await complete(target(), ticket, undefined, true)
      expect(done).toMatchObject({ ok: true, checksum: 'verified' })
      if (done.ok) expect((await (await files.get(done.object.key)).bytes()).equals(bytes)).toBe(true)
    })

    if (kind === 'remote') {
      it('takes nothing that has changed on its way', async () => {
        const { url = '', sourceAt } = running.remote ?? {}
        await using proxy = await damagingProxy(url, 600_000)
        await using damaged = createStorage({ buckets: { files: sourceAt?.(proxy.url) ?? running.source } })
        for (const body of [randomBytes(MiB), new Blob([randomBytes(9 * MiB)]).stream()]) {
          const put = damaged.bucket('files').put('damaged', body)
          await expect(put).rejects.toMatchObject({ code: 'STORAGE_ERR_CHECKSUM', retryable: true })
          expect(await files.exists('damaged')).toBe(false)
        }
      })
    }

    it('sweeps without a failure', async () => {
      expect(await storage.sweep({ olderThan: '1m' })).toMatchObject({ failures: [] })
    })
  })
}
