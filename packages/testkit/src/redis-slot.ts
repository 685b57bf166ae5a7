/** Number of hash slots in every cluster. */
export const SLOTS = 16_384

/** The cluster's hash slot of a key: CRC16 (XMODEM) of the key, or of what stands in its first `{…}` if that is not empty. */
export function slotOf(key: string | Buffer): number {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key)
  const open = bytes.indexOf(0x7b)
  const close = open < 0 ? -1 : bytes.indexOf(0x7d, open + 1)
  return crc16(close > open + 1 ? bytes.subarray(open + 1, close) : bytes) % SLOTS
}

/** `count` ranges of slots, as even as they can be, that cover all of them. */
export function slotRanges(count: number): readonly { readonly first: number; readonly last: number }[] {
  const at = (index: number) => Math.floor((index * SLOTS) / count)
  return Array.from({ length: count }, (_, index) => ({ first: at(index), last: at(index + 1) - 1 }))
}

function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}
