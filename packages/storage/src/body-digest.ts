import { createHash } from 'node:crypto'
import { StorageError } from './errors.ts'
import type { Expected } from './local-store.ts'

/** Counts and hashes bytes on their way, and says at the end whether they are what they should be. */
export class BodyDigest {
  readonly #md5 = createHash('md5')
  readonly #sha256 = createHash('sha256')
  readonly #expected: Expected
  #size = 0

  constructor(expected: Expected = {}) {
    this.#expected = expected
  }

  get size(): number {
    return this.#size
  }

  update(chunk: Uint8Array): void {
    this.#size += chunk.length
    this.#md5.update(chunk)
    if (this.#expected.sha256 !== undefined) this.#sha256.update(chunk)
  }

  /** The MD5 in hex. Throws when the bytes are not the expected ones. */
  end(): string {
    const { size, sha256, md5 } = this.#expected
    if (size !== undefined && size !== this.#size) {
      throw new StorageError('STORAGE_ERR_SIZE', 'the body does not have the announced size')
    }
    const found = this.#md5.digest()
    const damaged = sha256 !== undefined && sha256 !== this.#sha256.digest('base64')
    if (damaged || (md5 !== undefined && md5 !== found.toString('base64'))) {
      throw new StorageError('STORAGE_ERR_CHECKSUM', 'what arrived is not what was sent; send it again')
    }
    return found.toString('hex')
  }
}
