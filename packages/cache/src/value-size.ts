/**
 * About how many bytes a value holds on the heap, by V8's layout: strings one byte per character (two when any
 * is beyond Latin-1), 16 bytes and 8 per element for arrays, 24 and 8 per property for objects. Shared parts
 * count once. An estimate for bounding memory: within a quarter of the truth for data, not for code.
 */
export function sizeOfValue(value: unknown): number {
  const seen = new Seen()
  const pending: unknown[] = [value]
  let bytes = 0
  while (pending.length > 0) {
    const next = pending.pop()
    switch (typeof next) {
      case 'string':
        bytes += sizeOfString(next)
        break
      case 'number':
        bytes += Number.isInteger(next) && Math.abs(next) < 2 ** 30 ? 0 : 12
        break
      case 'bigint':
        bytes += 24
        break
      case 'object':
        if (next !== null && seen.isNew(next)) {
          bytes += sizeOfObject(next, pending)
        }
        break
    }
  }
  return bytes
}

/** Most values have a handful of parts, and a list of them is faster than a set. */
const FEW = 8

class Seen {
  readonly #few: object[] = []
  #many: Set<object> | undefined

  isNew(part: object): boolean {
    if (this.#many) {
      const before = this.#many.size
      return this.#many.add(part).size > before
    }
    if (this.#few.includes(part)) return false
    this.#few.push(part)
    if (this.#few.length > FEW) this.#many = new Set(this.#few)
    return true
  }
}

/** Bytes of a string: 16 of header, then one or two per character. */
export function sizeOfString(text: string): number {
  return 16 + (isLatin1(text) ? text.length : text.length * 2)
}

function isLatin1(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is the point
  return !/[^\u0000-\u00ff]/.test(text)
}

function sizeOfObject(value: object, pending: unknown[]): number {
  if (Array.isArray(value)) {
    for (const item of value) pending.push(item)
    return 32 + value.length * 8
  }
  if (ArrayBuffer.isView(value)) return 100 + value.byteLength
  if (value instanceof ArrayBuffer) return 100 + value.byteLength
  if (value instanceof Map) {
    for (const [key, item] of value) pending.push(key, item)
    return 100 + value.size * 40
  }
  if (value instanceof Set) {
    for (const item of value) pending.push(item)
    return 100 + value.size * 28
  }
  if (value instanceof Date) return 96
  if (value instanceof Error) pending.push(value.message, value.stack)
  const names = Object.keys(value)
  for (const name of names) pending.push((value as Record<string, unknown>)[name])
  return 24 + names.length * 8
}
