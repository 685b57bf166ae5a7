import { R2Bucket } from './r2-bucket.ts'
import type { R2CorsRule } from './r2-cors.ts'
import type { R2Disk } from './r2-disk.ts'
import type { BucketRecord } from './r2-records.ts'
import { S3Error } from './r2-s3-error.ts'

/** All buckets of one server. */
export class R2Store {
  readonly disk: R2Disk
  readonly #buckets = new Map<string, R2Bucket>()

  constructor(disk: R2Disk, now: number) {
    this.disk = disk
    const used = new Set<string>()
    for (const name of disk.names('buckets')) this.#buckets.set(name, new R2Bucket(name, disk, used))
    disk.sweep(used)
    for (const bucket of this.#buckets.values()) bucket.expireUploads(now)
  }

  bucket(name: string): R2Bucket {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) throw new S3Error('NoSuchBucket')
    return bucket
  }

  has(name: string): boolean {
    return this.#buckets.has(name)
  }

  create(name: string, now: number, cors: readonly R2CorsRule[] | undefined): R2Bucket {
    if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)) throw new S3Error('InvalidBucketName')
    if (this.#buckets.has(name)) throw new S3Error('BucketAlreadyOwnedByYou')
    const folder = `buckets/${name}`
    this.disk.makeFolder(`${folder}/objects`)
    this.disk.makeFolder(`${folder}/uploads`)
    this.disk.put(`${folder}/bucket.json`, {
      created: now,
      cors,
      lifecycle: undefined,
    } satisfies BucketRecord)
    const bucket = new R2Bucket(name, this.disk, new Set())
    this.#buckets.set(name, bucket)
    return bucket
  }

  delete(name: string): void {
    const bucket = this.bucket(name)
    if (!bucket.isEmpty) throw new S3Error('BucketNotEmpty')
    bucket.isDeleted = true
    this.#buckets.delete(name)
    this.disk.dropFolder(`buckets/${name}`)
  }

  list(): readonly R2Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
