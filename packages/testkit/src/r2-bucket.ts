import { createHash, randomBytes } from 'node:crypto'
import type { R2CorsRule } from './r2-cors.ts'
import type { PreparedRecord, R2Disk } from './r2-disk.ts'
import type { BucketRecord, StoredObject, StoredPart, StoredUpload } from './r2-records.ts'
import { S3Error } from './r2-s3-error.ts'
import { SortedNames } from './r2-sorted-names.ts'

interface OpenUpload {
  upload: StoredUpload
  readonly parts: Map<number, StoredPart>
}

const UPLOAD_LIFETIME = 7 * 86_400_000

/** One bucket: an index in memory of records on disk. Every change of it is one synchronous step. */
export class R2Bucket {
  readonly name: string
  readonly #disk: R2Disk
  readonly #folder: string
  readonly #objects = new Map<string, StoredObject>()
  readonly #uploads = new Map<string, OpenUpload>()
  /** Names of all objects in the order of their UTF-8 bytes. */
  readonly names = new SortedNames()
  /** Set for the uploads that were under way when the bucket went. */
  isDeleted = false
  #record: BucketRecord

  constructor(name: string, disk: R2Disk, used: Set<string>) {
    this.name = name
    this.#disk = disk
    this.#folder = `buckets/${name}`
    this.#record = disk.record(`${this.#folder}/bucket.json`)
    for (const file of disk.names(`${this.#folder}/objects`)) {
      const object = disk.record<StoredObject>(`${this.#folder}/objects/${file}`)
      for (const blob of object.blobs) used.add(blob.id)
      this.#objects.set(nameOf(object.key), object)
    }
    this.names.fill([...this.#objects.keys()])
    for (const id of disk.names(`${this.#folder}/uploads`)) this.#loadUpload(id, used)
  }

  get created(): number {
    return this.#record.created
  }

  get cors(): readonly R2CorsRule[] | undefined {
    return this.#record.cors
  }

  get lifecycle(): string | undefined {
    return this.#record.lifecycle
  }

  get isEmpty(): boolean {
    return this.#objects.size === 0 && this.#uploads.size === 0
  }

  configure(change: Partial<Pick<BucketRecord, 'cors' | 'lifecycle'>>): void {
    this.#record = { ...this.#record, ...change }
    this.#disk.put(`${this.#folder}/bucket.json`, this.#record)
  }

  find(key: string): StoredObject | undefined {
    return this.#objects.get(nameOf(key))
  }

  get(key: string): StoredObject {
    const object = this.find(key)
    if (object === undefined) throw new S3Error('NoSuchKey')
    return object
  }

  /** Publishes an object if `check` accepts what is there at that moment; otherwise removes its blobs and rejects. */
  async commit(object: StoredObject, check: (current: StoredObject | undefined) => void): Promise<void> {
    const name = nameOf(object.key)
    let record: PreparedRecord | undefined
    try {
      record = await this.#disk.prepare(this.#objectPath(name), object)
      check(this.#objects.get(name))
      record.place()
    } catch (error) {
      record?.drop()
      this.#disk.discard(object.blobs)
      throw this.isDeleted ? new S3Error('NoSuchBucket') : error
    }
    this.#replace(name, object)
  }

  delete(key: string): void {
    const name = nameOf(key)
    const current = this.#objects.get(name)
    if (current === undefined) return
    this.#disk.drop(this.#objectPath(name))
    this.#objects.delete(name)
    this.names.delete(name)
    this.#disk.discard(current.blobs)
  }

  createUpload(upload: Omit<StoredUpload, 'id'>): StoredUpload {
    const stored = { ...upload, id: randomBytes(24).toString('base64url') }
    const folder = this.#uploadFolder(stored.id)
    this.#disk.makeFolder(folder)
    this.#disk.put(`${folder}/upload.json`, stored)
    this.#uploads.set(stored.id, { upload: stored, parts: new Map() })
    return stored
  }

  /** All open uploads in the order in which S3 lists them: by key, then by time. */
  uploads(): readonly StoredUpload[] {
    return [...this.#uploads.values()]
      .map(({ upload }) => upload)
      .sort(
        (a, b) =>
          Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) ||
          a.initiated - b.initiated ||
          (a.id < b.id ? -1 : 1),
      )
  }

  upload(key: string, id: string): StoredUpload {
    return this.#open(key, id).upload
  }

  /** Parts of an open upload by ascending number. */
  parts(key: string, id: string): readonly StoredPart[] {
    return [...this.#open(key, id).parts.values()].sort((a, b) => a.number - b.number)
  }

  /** Adds or replaces a part; if the upload has gone meanwhile, removes its blob and throws. */
  addPart(key: string, id: string, part: StoredPart): void {
    try {
      const { parts } = this.#open(key, id)
      const replaced = parts.get(part.number)
      this.#disk.put(`${this.#uploadFolder(id)}/${part.number}.json`, part)
      parts.set(part.number, part)
      if (replaced !== undefined) this.#disk.discard([replaced.blob])
    } catch (error) {
      this.#disk.discard([part.blob])
      throw error
    }
  }

  /**
   * Turns an open upload into an object that takes over the blobs of its parts; parts it does not use are removed.
   * In one synchronous step, so that of two completions one finds no upload.
   */
  completeUpload(id: string, object: StoredObject, check: (current: StoredObject | undefined) => void): void {
    const { parts } = this.#open(object.key, id)
    const name = nameOf(object.key)
    check(this.#objects.get(name))
    this.#disk.put(this.#objectPath(name), object)
    this.#replace(name, object)
    this.#uploads.delete(id)
    this.#disk.dropFolder(this.#uploadFolder(id))
    const kept = new Set(object.blobs.map((blob) => blob.id))
    this.#disk.discard([...parts.values()].map((part) => part.blob).filter((blob) => !kept.has(blob.id)))
  }

  abortUpload(key: string, id: string): void {
    const { parts } = this.#open(key, id)
    this.#uploads.delete(id)
    this.#disk.dropFolder(this.#uploadFolder(id))
    this.#disk.discard([...parts.values()].map((part) => part.blob))
  }

  /** Aborts uploads that were begun more than 7 days ago, which is what R2 does unless told otherwise. */
  expireUploads(now: number): void {
    for (const { upload } of [...this.#uploads.values()])
      if (now - upload.initiated > UPLOAD_LIFETIME) this.abortUpload(upload.key, upload.id)
  }

  /** Keys of all objects and of all open uploads. */
  keys(): { readonly objects: readonly string[]; readonly uploads: readonly string[] } {
    const objects: string[] = []
    for (let index = 0, name = this.names.at(0); name !== undefined; name = this.names.at(++index))
      objects.push(this.#objects.get(name)?.key ?? name)
    return { objects, uploads: this.uploads().map((upload) => upload.key) }
  }

  /** Moves the times of everything under the key into the past. */
  age(key: string, by: number): void {
    const name = nameOf(key)
    const object = this.#objects.get(name)
    if (object !== undefined) {
      const older = { ...object, lastModified: object.lastModified - by }
      this.#disk.put(this.#objectPath(name), older)
      this.#objects.set(name, older)
    }
    for (const open of this.#uploads.values()) {
      if (nameOf(open.upload.key) !== name) continue
      open.upload = { ...open.upload, initiated: open.upload.initiated - by }
      this.#disk.put(`${this.#uploadFolder(open.upload.id)}/upload.json`, open.upload)
    }
  }

  #replace(name: string, object: StoredObject): void {
    const before = this.#objects.get(name)
    this.#objects.set(name, object)
    if (before === undefined) this.names.add(name)
    else this.#disk.discard(before.blobs)
  }

  #open(key: string, id: string): OpenUpload {
    const open = this.#uploads.get(id)
    if (open === undefined || nameOf(open.upload.key) !== nameOf(key)) throw new S3Error('NoSuchUpload')
    return open
  }

  #loadUpload(id: string, used: Set<string>): void {
    const folder = this.#uploadFolder(id)
    const files = this.#disk.names(folder)
    // A crash between making the folder and putting the record leaves an upload that no client ever heard of.
    if (!files.includes('upload.json')) {
      this.#disk.dropFolder(folder)
      return
    }
    const parts = files
      .filter((file) => file !== 'upload.json')
      .map((file) => this.#disk.record<StoredPart>(`${folder}/${file}`))
    // A crash in mid-completion leaves an upload whose blobs belong to the object already.
    if (parts.some((part) => used.has(part.blob.id))) {
      this.#disk.dropFolder(folder)
      return
    }
    for (const part of parts) used.add(part.blob.id)
    const upload = this.#disk.record<StoredUpload>(`${folder}/upload.json`)
    this.#uploads.set(id, { upload, parts: new Map(parts.map((part) => [part.number, part])) })
  }

  // Hashed, so that no key can name a path; ids of uploads are base64url and made here.
  #objectPath(name: string): string {
    return `${this.#folder}/objects/${createHash('sha256').update(name).digest('hex')}.json`
  }

  #uploadFolder(id: string): string {
    return `${this.#folder}/uploads/${id}`
  }
}

/** The identity of a key: R2 takes keys that differ only in Unicode composition for the same object. */
export function nameOf(key: string): string {
  return key.normalize('NFC')
}
