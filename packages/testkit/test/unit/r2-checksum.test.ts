import { expect, test } from 'vitest'
import { CHECKSUM_ALGORITHMS, checkedChecksum, startChecksum } from '../../src/r2-checksum.ts'

// Check values of the catalogue of CRC algorithms and of FIPS 180 for the same nine bytes.
const CHECK = {
  crc32: 'cbf43926',
  crc32c: 'e3069283',
  crc64nvme: 'ae8b14860a799888',
  sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
  sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
}

test.each(CHECKSUM_ALGORITHMS)(
  '%s has its published check value, in one piece and in several',
  (algorithm) => {
    const whole = startChecksum(algorithm)
    whole.update(Buffer.from('123456789'))
    expect(whole.digest().toString('hex')).toBe(CHECK[algorithm])

    const pieces = startChecksum(algorithm)
    for (const piece of ['', '12', '3456', '789']) pieces.update(Buffer.from(piece))
    expect(pieces.digest().toString('hex')).toBe(CHECK[algorithm])
  },
)

test.each(['', 'not base64!', 'AAAA', 'AAAAAAAA'])('%j is no CRC32', (value) => {
  expect(() => checkedChecksum('crc32', value)).toThrow(/malformed/)
})
