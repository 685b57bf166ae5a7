import { createHash } from 'node:crypto'
import { CacheUsageError } from './errors.ts'

const STORED: unique symbol = Symbol.for('cays.cache.key') as never

/**
 * The key of one call of a space, a memoized function or a decorated method, as `keyOf` gives it. Not a string,
 * so that no string a visitor sends can pass for one.
 */
export interface CallKey {
  readonly [STORED]: string
}

/** A key of your own, or that of a call. */
export type CacheKey = string | CallKey

/** Longer keys are replaced by their SHA-256: Redis keys, feed messages and L1 stay small. */
const MAX_KEY = 300
const AT = 64

/**
 * The stored form of a key the user wrote. Keys of spaces start with a single `@`, so a user's own leading `@`
 * is doubled: no string a visitor can send reaches the entry of a space.
 */
export function plainKey(key: CacheKey): string {
  if (typeof key === 'string' && key.length <= MAX_KEY && key.charCodeAt(0) !== AT) return key
  return unusualKey(key)
}

function unusualKey(key: CacheKey): string {
  if (typeof key === 'string') return shorten(key.charCodeAt(0) === AT ? `@${key}` : key)
  const stored = (key as Partial<CallKey> | null)?.[STORED]
  if (stored === undefined) throw unusable('a key must be a string')
  return stored
}

/** The stored form of a call: `@name(arguments)`. Distinct argument lists give distinct keys. */
export function callKey(name: string, args: readonly unknown[]): string {
  const only = args.length === 1 ? args[0] : undefined
  if (typeof only === 'number' && only !== 0) return `@${name}(${only})`
  let text = `@${name}(`
  for (let i = 0; i < args.length; i++) text += i === 0 ? canonical(args[i], 0) : `,${canonical(args[i], 0)}`
  return shorten(`${text})`)
}

/** Names the call for `cache.invalidate` and the like. */
export function callKeyOf(name: string, args: readonly unknown[]): CallKey {
  return { [STORED]: callKey(name, args) }
}

function shorten(key: string): string {
  if (key.length <= MAX_KEY) return key
  // UTF-16 bytes: UTF-8 would fold all lone surrogates into one replacement character.
  return `@#${createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('base64url')}`
}

/**
 * An injective text of plain data: equal texts mean equal arguments. Types never meet (`42`, `"42"`, `42n`),
 * object properties are sorted, `-0`, `NaN`, `undefined` and holes keep their identity.
 */
function canonical(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'bigint':
      return `${value}n`
    case 'object':
      return value === null ? 'null' : canonicalObject(value, depth + 1)
    default:
      throw unusable(`a ${typeof value} cannot be part of a key`)
  }
}

function canonicalObject(value: object, depth: number): string {
  if (depth > 32) throw unusable('an argument is nested too deeply or refers to itself')
  const each = (items: Iterable<unknown>) => Array.from(items, (item) => canonical(item, depth)).join()
  if (Array.isArray(value)) return `[${each(value)}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof Map) return `Map(${each(value)})`
  if (value instanceof Set) return `Set(${each(value)})`
  if (value instanceof URL) return `URL(${JSON.stringify(value.href)})`
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return `${value.constructor.name}(${bytes.toString('base64')})`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw unusable('an instance of a class cannot be part of a key; pass `key` to pick its plain fields')
  }
  const record = value as Readonly<Record<string, unknown>>
  const fields = Object.keys(record).sort()
  return `{${fields.map((name) => `${JSON.stringify(name)}:${canonical(record[name], depth)}`).join()}}`
}

function unusable(message: string): CacheUsageError {
  return new CacheUsageError('CACHE_ERR_KEY', message)
}
