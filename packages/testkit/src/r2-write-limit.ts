import { nameOf } from './r2-bucket.ts'
import { S3Error } from './r2-s3-error.ts'

const MAX_KEYS = 10_000

/** R2's limit of one write per second and key. Remembers the keys of the last second only. */
export class WriteLimit {
  readonly #last = new Map<string, number>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Takes the key's write of this second. @throws S3Error TooManyRequests when it is taken already */
  take(bucket: string, key: string): void {
    const now = this.#now()
    for (const [id, time] of this.#last) {
      if (now - time < 1000 && this.#last.size <= MAX_KEYS) break
      this.#last.delete(id)
    }
    const id = `${bucket}/${nameOf(key)}`
    if (this.#last.has(id)) throw new S3Error('TooManyRequests')
    this.#last.set(id, now)
  }
}
