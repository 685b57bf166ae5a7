import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BodyDigest } from './body-digest.ts'
import { StorageError } from './errors.ts'
import type { LocalObject, LocalStore, LocalWrite } from './local-store.ts'
import type { ObjectHead, ObjectInfo } from './provider.ts'

/**
 * Objects in a folder, one file each.
 *
 * 1. A file is named by the SHA-256 of its key: no key can leave the folder, meet a limit of names, or be a
 *    folder and a file at once.
 * 2. Behind the bytes stands what is known of them, then its length and a mark; a file without is no object.
 * 3. A write goes to `partial/` and takes its name when it is complete, by `link` where it must not replace:
 *    of any number of processes one wins. A process killed meanwhile leaves a file in `partial/` alone.
 */
export class DiskStore implements LocalStore {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  read(key: string): Promise<LocalObject | undefined> {
    return told(async () => {
      const path = this.#path(key)
      const head = await readHead(path)
      return head && { head, body: (start, end) => readBody(path, head, start, end) }
    })
  }

  write(
    key: string,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { headers, exclusive, expected, etag }: LocalWrite,
  ): Promise<ObjectInfo> {
    return told(async () => {
      const path = this.#path(key)
      const partial = join(this.#root, PARTIAL, randomUUID())
      await mkdir(dirname(path), { recursive: true })
      await mkdir(dirname(partial), { recursive: true })
      const file = await open(partial, 'wx', 0o600)
      try {
        const digest = new BodyDigest(expected)
        try {
          for await (const chunk of body) {
            digest.update(chunk)
            await file.appendFile(chunk)
          }
          const md5 = digest.end()
          const head = { ...headers, key, size: digest.size, etag: etag ?? md5, lastModified: new Date() }
          await file.appendFile(trailerOf(head))
          await file.close()
          if (exclusive) await link(partial, path)
          else await rename(partial, path)
          return head
        } finally {
          await file.close()
        }
      } finally {
        await rm(partial, { force: true })
      }
    })
  }

  remove(key: string): Promise<void> {
    return told(() => rm(this.#path(key), { force: true }))
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    for await (const path of filesIn(join(this.#root, OBJECTS))) {
      const head = await told(() => readHead(path))
      if (head?.key.startsWith(prefix)) yield head
    }
  }

  async *unfinished(): AsyncGenerator<{ readonly id: string; readonly startedAt: Date }> {
    for await (const path of filesIn(join(this.#root, PARTIAL))) {
      const found = await stat(path).catch(() => undefined)
      if (found) yield { id: path.slice(-UUID_LENGTH), startedAt: found.mtime }
    }
  }

  discard(id: string): Promise<void> {
    return told(() => rm(join(this.#root, PARTIAL, id), { force: true }))
  }

  #path(key: string): string {
    const name = createHash('sha256').update(key).digest('hex')
    return join(this.#root, OBJECTS, name.slice(0, 2), name)
  }
}

const EMPTY = { contentDisposition: undefined, cacheControl: undefined, metadata: {} }
const OBJECTS = 'objects'
const PARTIAL = 'partial'
const UUID_LENGTH = 36
const MARK = 'cays1'
/** The mark and four bytes of length. */
const TAIL = MARK.length + 4
const MOST_HEAD = 2 ** 16

function trailerOf(head: object): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([json, length, Buffer.from(MARK)])
}

async function readHead(path: string): Promise<ObjectHead | undefined> {
  const file = await openFile(path)
  if (!file) return undefined
  try {
    return await headOf(file)
  } finally {
    await file.close()
  }
}

async function headOf(file: FileHandle): Promise<ObjectHead | undefined> {
  const { size } = await file.stat()
  const tail = Buffer.alloc(Math.min(size, MOST_HEAD))
  await file.read(tail, 0, tail.length, size - tail.length)
  if (tail.length < TAIL || tail.toString('latin1', tail.length - MARK.length) !== MARK) return undefined
  const end = tail.length - TAIL
  const head = JSON.parse(tail.toString('utf8', end - tail.readUInt32BE(end), end))
  return { ...EMPTY, ...head, lastModified: new Date(head.lastModified) }
}

async function* readBody(
  path: string,
  head: ObjectHead,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  const file = await told(() => openFile(path))
  try {
    const now = file && (await headOf(file))
    if (!file || now?.etag !== head.etag || now.lastModified.getTime() !== head.lastModified.getTime()) {
      throw new StorageError('STORAGE_ERR_PRECONDITION', 'the object was replaced while it was read')
    }
    if (end >= start) yield* file.createReadStream({ start, end, autoClose: false })
  } finally {
    await file?.close()
  }
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function* filesIn(folder: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      if (entry.isFile()) yield join(entry.parentPath, entry.name)
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code
}

async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') {
      throw new StorageError('STORAGE_ERR_PRECONDITION', 'there is an object of this key already', { cause })
    }
    if (!/^E[A-Z]+$/.test(String(codeOf(cause))) || codeOf(cause) === 'ECONNRESET') throw cause
    const message = 'the disk did not do as it should: is it full, and may this process write there?'
    throw new StorageError('STORAGE_ERR_UNAVAILABLE', message, { cause })
  }
}
