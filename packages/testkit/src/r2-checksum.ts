import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { S3Error } from './r2-s3-error.ts'

/** The checksum algorithms of the S3 protocol, as they end the name of their `x-amz-checksum-*` header. */
export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number]

/** A checksum as it is stored and sent: base64, with `-<parts>` behind it when it is composite. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  readonly value: string
  readonly type: 'FULL_OBJECT' | 'COMPOSITE'
}

/** Something that eats bytes and ends in a digest. */
export interface RunningChecksum {
  update(bytes: Uint8Array): void
  digest(): Buffer
}

const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  crc32: 4,
  crc32c: 4,
  crc64nvme: 8,
  sha1: 20,
  sha256: 32,
}

/** Starts a checksum. */
export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  if (algorithm === 'crc32') return new Crc32()
  if (algorithm === 'crc32c') return new Crc32c()
  if (algorithm === 'crc64nvme') return new Crc64Nvme()
  const hash = createHash(algorithm)
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
}

/** The algorithm a client names, in any case; undefined when it is none of ours. */
export function checksumAlgorithm(name: string): ChecksumAlgorithm | undefined {
  return CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === name.toLowerCase())
}

/** Checks the form of a checksum a client sent: base64 of as many bytes as the algorithm has. */
export function checkedDigest(value: string, bytes: number): string {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value) || Buffer.from(value, 'base64').length !== bytes)
    throw new S3Error('InvalidDigest')
  return value
}

/** The same for a checksum header. */
export function checkedChecksum(algorithm: ChecksumAlgorithm, value: string): string {
  return checkedDigest(value, DIGEST_BYTES[algorithm])
}

class Crc32 implements RunningChecksum {
  #crc = 0

  update(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc)
  }

  digest(): Buffer {
    return uint32(this.#crc)
  }
}

class Crc32c implements RunningChecksum {
  #crc = 0xffffffff

  update(bytes: Uint8Array): void {
    let crc = this.#crc
    for (let i = 0; i < bytes.length; i += 1)
      crc = (CRC32C_TABLE[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8)
    this.#crc = crc
  }

  digest(): Buffer {
    return uint32(~this.#crc >>> 0)
  }
}

// JavaScript has no fast 64-bit integers, so the register is kept in two halves.
class Crc64Nvme implements RunningChecksum {
  #high = 0xffffffff
  #low = 0xffffffff

  update(bytes: Uint8Array): void {
    let high = this.#high
    let low = this.#low
    for (let i = 0; i < bytes.length; i += 1) {
      const index = (low ^ (bytes[i] ?? 0)) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ (CRC64_TABLE.low[index] ?? 0)
      high = (high >>> 8) ^ (CRC64_TABLE.high[index] ?? 0)
    }
    this.#high = high
    this.#low = low
  }

  digest(): Buffer {
    return Buffer.concat([uint32(~this.#high >>> 0), uint32(~this.#low >>> 0)])
  }
}

// Castagnoli and NVMe polynomials, bit-reversed as their specifications use them.
const CRC32C_TABLE = Int32Array.from({ length: 256 }, (_, index) => {
  let crc = index
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

const CRC64_TABLE = (() => {
  const high = new Int32Array(256)
  const low = new Int32Array(256)
  for (let index = 0; index < 256; index += 1) {
    let crc = BigInt(index)
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n
    high[index] = Number(crc >> 32n) | 0
    low[index] = Number(crc & 0xffffffffn) | 0
  }
  return { high, low }
})()

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
