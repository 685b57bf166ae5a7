import { randomBytes } from 'node:crypto'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Where a client is pointed at. */
export interface Account {
  readonly url: string
  readonly region: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** One job in the words of a client that none of us wrote. Every method rejects when the server refuses. */
export interface ForeignClient {
  put(key: string, bytes: Buffer): Promise<unknown>
  /** In parts of 5 MiB, with the client's own idea of how. */
  putParts(key: string, bytes: Buffer): Promise<unknown>
  get(key: string): Promise<Buffer>
  size(key: string): Promise<number | undefined>
  list(prefix: string): Promise<readonly string[]>
  remove(key: string): Promise<unknown>
  presigned(method: 'GET' | 'PUT', key: string): string | Promise<string>
  close?(): void
}

export const PART_BYTES: number = 5 * 2 ** 20

/** The pieces that a client sends one by one. */
export function partsOf(bytes: Buffer): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, index) =>
    bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES),
  )
}

/** A client that none of us wrote finds an S3 server in the emulator. One file each: some change the process they are in. */
export function worksWith(
  name: string,
  connect: (account: Account) => ForeignClient,
  key = "odd/a (1) ü+&=%20 日本 'x'*.bin",
): void {
  describe(name, () => {
    let server: R2Server
    let client: ForeignClient
    const account = (): Account => {
      const { url, region, accessKeyId, secretAccessKey } = server
      return { url, region, bucket: 'files', accessKeyId, secretAccessKey }
    }

    beforeAll(async () => {
      server = await startR2({ buckets: ['files'] })
      client = connect(account())
    })
    afterAll(async () => {
      client?.close?.()
      await server?.close()
    })

    it('writes, looks at, reads, lists and removes an object, whatever its key', async () => {
      const bytes = randomBytes(70_000)
      await client.put(key, bytes)
      expect(await client.size(key)).toBe(bytes.length)
      expect((await client.get(key)).equals(bytes)).toBe(true)
      expect(await client.list('odd/')).toEqual([key])
      await client.remove(key)
      expect(await client.list('odd/')).toEqual([])
      await expect(client.get(key)).rejects.toThrow()
    })

    it('sends a large object in parts', async () => {
      const bytes = randomBytes(2 * PART_BYTES + 12_345)
      await client.putParts('large', bytes)
      expect(await client.size('large')).toBe(bytes.length)
      expect((await client.get('large')).equals(bytes)).toBe(true)
      expect(server.inspect('files').uploads).toEqual([])
    })

    it('signs URLs that write and read, and no other object', async () => {
      const put = await client.presigned('PUT', key)
      expect((await fetch(put, { method: 'PUT', body: 'signed' })).status).toBe(200)
      const get = await client.presigned('GET', key)
      expect(await (await fetch(get)).text()).toBe('signed')
      expect((await fetch(get.replace('odd', 'other'))).status).toBe(403)
    })

    it('is refused with another secret', async () => {
      const stranger = connect({ ...account(), secretAccessKey: '0'.repeat(64) })
      await expect(stranger.put('no', Buffer.from('x'))).rejects.toThrow()
      expect(server.inspect('files').objects).not.toContain('no')
      stranger.close?.()
    })
  })
}
