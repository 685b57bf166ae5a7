import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { open, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TestkitError } from './errors.ts'

/** A file of content. Its name is random and it never changes once it is written. */
export interface Blob {
  readonly id: string
  readonly size: number
}

/** A record that is written but not yet in its place. */
export interface PreparedRecord {
  readonly place: () => void
  readonly drop: () => void
}

const READ_SIZE = 256 * 1024

/**
 * The folder of one server.
 *
 * 1. Content goes into a blob under a fresh random name and is complete before anything refers to it.
 * 2. A record (JSON) that refers to blobs is written beside its place and renamed into it, in one synchronous step
 *    with the check of conditions, so that of racing writers exactly one wins and a crash leaves the old or the new.
 * 3. What no record refers to is removed at the next start.
 *
 * No name on disk comes from a client except bucket names, whose alphabet is `a-z 0-9 -`. Nothing is synced to the
 * platter: a killed process loses nothing, a power cut may.
 */
export class R2Disk {
  readonly root: string
  readonly #readers = new Map<string, number>()
  readonly #doomed = new Set<string>()

  constructor(root: string) {
    this.root = root
    mkdirSync(join(root, 'blobs'), { recursive: true })
    mkdirSync(join(root, 'buckets'), { recursive: true })
    this.#lock()
  }

  /** Removes every blob that `used` does not hold and every record that was never renamed into place. */
  sweep(used: ReadonlySet<string>): void {
    for (const name of readdirSync(join(this.root, 'blobs')))
      if (!used.has(name)) rmSync(this.#blobPath(name), { force: true })
  }

  /** Lets another server use the folder. */
  release(): void {
    rmSync(join(this.root, 'lock'), { force: true })
  }

  /** Writes a blob through `fill`; a blob that is not filled to the end is removed again. */
  async write<T>(fill: (append: (chunk: Buffer) => Promise<void>) => Promise<T>): Promise<[Blob, T]> {
    const id = randomBytes(16).toString('hex')
    const file = await open(this.#blobPath(id), 'wx', 0o600)
    try {
      let size = 0
      const result = await fill(async (chunk) => {
        size += chunk.length
        for (let offset = 0; offset < chunk.length; )
          offset += (await file.write(chunk, offset, chunk.length - offset)).bytesWritten
      })
      await file.close()
      return [{ id, size }, result]
    } catch (error) {
      await file.close().catch(() => {})
      await unlink(this.#blobPath(id)).catch(() => {})
      throw error
    }
  }

  /**
   * Streams bytes `start` to `end` (inclusive) of the blobs put end to end. The blobs are kept until the reader has
   * finished, even if their object is replaced or deleted meanwhile: call it where they are known to exist.
   */
  read(blobs: readonly Blob[], start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    for (const { id } of blobs) this.#readers.set(id, (this.#readers.get(id) ?? 0) + 1)
    let released = false
    const release = () => {
      if (released) return
      released = true
      for (const { id } of blobs) this.#leave(id)
    }
    const generator = this.#stream(blobs, start, end, release)
    // A generator that was never started runs no `finally`.
    const inner = generator.return.bind(generator)
    generator.return = (value) => {
      release()
      return inner(value)
    }
    return generator
  }

  /** Removes blobs that no record refers to any more, once nobody reads them. */
  discard(blobs: readonly Blob[]): void {
    for (const { id } of blobs) {
      if (this.#readers.has(id)) this.#doomed.add(id)
      else unlink(this.#blobPath(id)).catch(() => {})
    }
  }

  /** Puts a record in place in one step, in the same tick. */
  put(path: string, record: unknown): void {
    const temporary = this.#temporary(path)
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 })
    renameSync(temporary, join(this.root, path))
  }

  /** The same in two steps: the slow one first, so that `place` takes no time and can stand behind a check. */
  async prepare(path: string, record: unknown): Promise<PreparedRecord> {
    const temporary = this.#temporary(path)
    await writeFile(temporary, JSON.stringify(record), { mode: 0o600 })
    return {
      place: () => renameSync(temporary, join(this.root, path)),
      drop: () => void unlink(temporary).catch(() => {}),
    }
  }

  /** Removes a record in the same tick. */
  drop(path: string): void {
    unlinkSync(join(this.root, path))
  }

  makeFolder(path: string): void {
    mkdirSync(join(this.root, path), { recursive: true })
  }

  dropFolder(path: string): void {
    rmSync(join(this.root, path), { recursive: true, force: true })
  }

  /** Names in a folder; leftovers of interrupted `put`s are removed on the way. */
  names(path: string): readonly string[] {
    return readdirSync(join(this.root, path)).filter((name) => {
      if (!name.endsWith('.tmp')) return true
      rmSync(join(this.root, path, name), { force: true })
      return false
    })
  }

  /** A record as it was put. */
  record<T>(path: string): T {
    try {
      return JSON.parse(readFileSync(join(this.root, path), 'utf8')) as T
    } catch (cause) {
      throw new TestkitError(
        'TESTKIT_ERR_START_FAILED',
        `startR2: the folder holds a damaged record, ${path}; remove it or use another folder`,
        { cause },
      )
    }
  }

  async *#stream(
    blobs: readonly Blob[],
    start: number,
    end: number,
    release: () => void,
  ): AsyncGenerator<Buffer, void, undefined> {
    try {
      let offset = 0
      for (const { id, size } of blobs) {
        const from = Math.max(start - offset, 0)
        const to = Math.min(end - offset, size - 1)
        offset += size
        if (from <= to) yield* this.#slice(id, from, to)
      }
    } finally {
      release()
    }
  }

  async *#slice(id: string, from: number, to: number): AsyncGenerator<Buffer, void, undefined> {
    const file = await open(this.#blobPath(id), 'r')
    try {
      for (let position = from; position <= to; ) {
        const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, to - position + 1))
        const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
        if (bytesRead === 0) throw new Error('a blob is shorter than its record says')
        position += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }

  #leave(id: string): void {
    const readers = (this.#readers.get(id) ?? 1) - 1
    if (readers > 0) {
      this.#readers.set(id, readers)
      return
    }
    this.#readers.delete(id)
    if (this.#doomed.delete(id)) unlink(this.#blobPath(id)).catch(() => {})
  }

  #temporary(path: string): string {
    return join(this.root, `${path}.${randomBytes(6).toString('hex')}.tmp`)
  }

  #blobPath(id: string): string {
    return join(this.root, 'blobs', id)
  }

  #lock(): void {
    const path = join(this.root, 'lock')
    for (;;) {
      try {
        writeFileSync(path, String(process.pid), { flag: 'wx' })
        return
      } catch (cause) {
        const owner = Number(readLock(path))
        if (owner > 0 && isAlive(owner))
          throw new TestkitError(
            'TESTKIT_ERR_STATE',
            'startR2: another server uses this folder; close it or use another folder',
            { cause },
          )
        rmSync(path, { force: true })
      }
    }
  }
}

function readLock(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
