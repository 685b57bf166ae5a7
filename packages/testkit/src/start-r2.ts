import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { superviseFolder } from './guardian.ts'
import { R2Disk } from './r2-disk.ts'
import { type R2Options, readR2Options } from './r2-options.ts'
import { EmulatedR2, type R2Server } from './r2-server.ts'

/**
 * Starts an S3 server with the rules of Cloudflare R2, on loopback, in this process, in a few milliseconds.
 *
 * It verifies every signature (SigV4 in headers and presigned URLs, chunk signatures, trailers, temporary credentials)
 * and every checksum, and refuses what R2 refuses. Writes are atomic: a reader sees the old object or the new one, of
 * racing conditional writes exactly one wins, and a killed process leaves no half object.
 *
 * Not emulated: SSE-C, public buckets, event notifications, and the execution of lifecycle rules other than the end of
 * abandoned uploads after 7 days. Nothing is synced to the platter, so a power cut may lose recent writes.
 *
 * @example
 * await using r2 = await startR2({ buckets: ['media'] })
 * const client = new S3Client({ endpoint: r2.url, region: r2.region, forcePathStyle: true, credentials: r2 })
 */
export async function startR2(options: R2Options = {}): Promise<R2Server> {
  const settings = readR2Options(options)
  const dir = options.dir === undefined ? mkdtempSync(join(tmpdir(), 'cays-r2-')) : resolve(options.dir)
  const temporary = options.dir === undefined ? superviseFolder(dir) : undefined
  const removeFolder = async () => {
    if (temporary === undefined) return
    await rm(dir, { recursive: true, force: true })
    temporary[Symbol.dispose]()
  }
  try {
    const disk = new R2Disk(dir)
    try {
      const server = new EmulatedR2(settings, disk, removeFolder)
      await server.start()
      return server
    } catch (error) {
      disk.release()
      throw error
    }
  } catch (error) {
    await removeFolder()
    throw error
  }
}
