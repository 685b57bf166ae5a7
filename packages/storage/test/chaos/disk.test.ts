import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Bucket, createStorage, disk, type Storage } from '../../src/index.ts'

const MiB = 2 ** 20
const unavailable = { code: 'STORAGE_ERR_UNAVAILABLE', retryable: true }

let root: string
let storage: Storage<'files'>
let files: Bucket

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cays-disk-'))
  storage = createStorage({ buckets: { files: disk({ root }) } })
  files = storage.bucket('files')
  await files.put('kept', 'hello')
})
afterEach(async () => {
  await storage?.close()
  await chmod(root, 0o700).catch(() => {})
  if (root) await rm(root, { recursive: true, force: true })
})

/** What became of a put of so many bytes in a process that may write files of `limit` KiB. */
async function writeElsewhere(size: number, limit: string, as: 'myself' | 'nobody') {
  const script = fileURLToPath(new URL('disk-writer.ts', import.meta.url))
  const node = [
    process.execPath,
    '--import',
    'tsx',
    '--conditions=@cays/source',
    script,
    root,
    String(size),
    as,
  ]
  const { stdout } = await promisify(execFile)('bash', [
    '-c',
    `ulimit -f ${limit}; exec "$@"`,
    'bash',
    ...node,
  ])
  return JSON.parse(stdout) as { readonly outcome: unknown; readonly kept: string; readonly memory: object }
}

it('a disk that is full in the middle of a write fails it; nothing half is left, and the rest can be read', async () => {
  const { outcome, kept, memory } = await writeElsewhere(3 * MiB, '1024', 'myself')
  expect({ outcome, kept, memory }).toMatchObject({
    outcome: unavailable,
    kept: 'hello',
    memory: { used: 0 },
  })
  expect(JSON.stringify(outcome)).toContain('is it full')
  expect(await readdir(join(root, 'partial'))).toEqual([])
  expect(await files.exists('new')).toBe(false)
  await files.put('new', Buffer.alloc(3 * MiB))
})

it('a folder that may not be written fails writes, and is read as before', async () => {
  const inside = await readdir(root, { recursive: true, withFileTypes: true })
  const folders = [
    root,
    ...inside.filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name)),
  ]
  for (const one of inside) if (one.isFile()) await chmod(join(one.parentPath, one.name), 0o444)
  for (const folder of folders) await chmod(folder, 0o555)
  const { outcome, kept } = await writeElsewhere(10, 'unlimited', 'nobody')
  for (const folder of folders) await chmod(folder, 0o755)
  expect({ outcome, kept }).toMatchObject({ outcome: unavailable, kept: 'hello' })
  expect(await files.exists('new')).toBe(false)
})

it('a folder that is removed takes its objects with it; a write under way fails, the next one begins anew', async () => {
  async function* removing() {
    yield Buffer.alloc(9 * MiB)
    await rm(root, { recursive: true, maxRetries: 5 })
    yield Buffer.alloc(9 * MiB)
  }
  // Its parts are gone, or the folder of the one that was being written.
  await expect(files.put('under way', removing())).rejects.toMatchObject({
    code: expect.stringMatching(/^STORAGE_ERR_(?:NOT_FOUND|UNAVAILABLE)$/),
  })
  expect(storage.health().memory).toMatchObject({ used: 0, waiting: 0 })
  await expect(files.get('kept')).rejects.toMatchObject({ code: 'STORAGE_ERR_NOT_FOUND' })
  expect(await files.exists('under way')).toBe(false)
  await files.put('kept', 'again')
  expect(await (await files.get('kept')).text()).toBe('again')
})
