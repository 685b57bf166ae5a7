import { CacheUsageError } from './errors.ts'

/**
 * Text form of a value that keeps its JavaScript type: what comes out of Redis is deeply equal to what the
 * loader returned, with the same prototypes.
 *
 * Plain JSON data costs one check and one `JSON.stringify`. Everything else (undefined, NaN, ±Infinity, -0,
 * BigInt, Date, Map, Set, RegExp, URL, Error, ArrayBuffer, typed arrays, Buffer, null prototypes) is wrapped
 * as `{"$":[type, …]}`. Functions, symbols, class instances and cycles throw `CACHE_ERR_VALUE`.
 */
export function encode(value: unknown): string {
  return isPlain(value, 0) ? `j${JSON.stringify(value)}` : `t${JSON.stringify(wrap(value, []))}`
}

export function decode(text: string): unknown {
  const parsed: unknown = JSON.parse(text.slice(1))
  return text.charCodeAt(0) === 0x6a ? parsed : unwrap(parsed)
}

const MAX_DEPTH = 500

function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object': {
      if (value === null) return true
      if (depth > MAX_DEPTH) return false
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false
        return true
      }
      if (Object.getPrototypeOf(value) !== Object.prototype) return false
      for (const name of Object.keys(value)) {
        if (name === '$' || name === 'toJSON') return false
        if (!isPlain((value as Record<string, unknown>)[name], depth + 1)) return false
      }
      return Object.getOwnPropertySymbols(value).length === 0
    }
    default:
      return false
  }
}

const VIEWS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
} as const
const ERRORS = {
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
} as const

type Wrapped = { readonly $: readonly unknown[] }

function wrap(value: unknown, path: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (Object.is(value, -0)) return { $: ['-0'] }
      return Number.isFinite(value) ? value : { $: ['number', String(value)] }
    case 'undefined':
      return { $: ['undefined'] }
    case 'bigint':
      return { $: ['bigint', String(value)] }
    case 'object':
      return value === null ? null : wrapObject(value, path)
    default:
      throw unsupported(`a ${typeof value}`)
  }
}

function wrapObject(value: object, path: readonly object[]): unknown {
  if (path.includes(value)) throw unsupported('a value that refers to itself')
  if (path.length > MAX_DEPTH) throw unsupported(`a value nested deeper than ${MAX_DEPTH} levels`)
  const inside = [...path, value]
  const all = (items: Iterable<unknown>) => Array.from(items, (item) => wrap(item, inside))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (Array.isArray(value) && prototype === Array.prototype) return all(value)
  switch (prototype) {
    case Object.prototype:
    case null: {
      if (Object.getOwnPropertySymbols(value).length > 0) throw unsupported('an object with symbol keys')
      return { $: [prototype ? 'object' : 'null', fieldsOf(value, inside)] } satisfies Wrapped
    }
    case Date.prototype:
      return { $: ['Date', Number.isNaN(Number(value)) ? null : Number(value)] } satisfies Wrapped
    case Map.prototype:
      return { $: ['Map', Array.from(value as Map<unknown, unknown>, all)] } satisfies Wrapped
    case Set.prototype:
      return { $: ['Set', all(value as Set<unknown>)] } satisfies Wrapped
    case RegExp.prototype:
      return { $: ['RegExp', (value as RegExp).source, (value as RegExp).flags] } satisfies Wrapped
    case URL.prototype:
      return { $: ['URL', (value as URL).href] } satisfies Wrapped
    case ArrayBuffer.prototype:
      return { $: ['ArrayBuffer', Buffer.from(value as ArrayBuffer).toString('base64')] } satisfies Wrapped
    case Buffer.prototype:
      return { $: ['Buffer', (value as Buffer).toString('base64')] } satisfies Wrapped
  }
  for (const [name, View] of Object.entries(VIEWS)) {
    if (prototype !== View.prototype) continue
    const view = value as ArrayBufferView
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    return { $: ['view', name, bytes.toString('base64')] } satisfies Wrapped
  }
  for (const [name, Kind] of Object.entries(ERRORS)) {
    if (prototype !== Kind.prototype) continue
    const { message, stack } = value as Error
    const own = { ...('cause' in value ? { cause: value.cause } : {}), ...value }
    return { $: ['Error', name, message, stack ?? null, fieldsOf(own, inside)] } satisfies Wrapped
  }
  throw unsupported('an instance of a class')
}

function fieldsOf(value: object, path: readonly object[]): readonly (readonly [string, unknown])[] {
  return Object.entries(value).map(([name, field]) => [name, wrap(field, path)])
}

function unwrap(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(unwrap)
  const [kind, first, second, third, fourth] = (value as Wrapped).$
  const text = String(first)
  switch (kind) {
    case 'undefined':
      return undefined
    case '-0':
      return -0
    case 'number':
      return Number(text)
    case 'bigint':
      return BigInt(text)
    case 'object':
      return assign({}, first)
    case 'null':
      return assign(Object.create(null), first)
    case 'Date':
      return new Date(first === null ? Number.NaN : Number(first))
    case 'Map':
      return new Map((first as [unknown, unknown][]).map(([key, item]) => [unwrap(key), unwrap(item)]))
    case 'Set':
      return new Set((first as unknown[]).map(unwrap))
    case 'RegExp':
      return new RegExp(text, String(second))
    case 'URL':
      return new URL(text)
    case 'ArrayBuffer':
      return copyOf(text)
    case 'Buffer':
      return Buffer.from(text, 'base64')
    case 'view':
      return new VIEWS[first as 'Uint8Array'](copyOf(String(second)))
    case 'Error': {
      const error = new ERRORS[first as keyof typeof ERRORS](String(second))
      Object.defineProperty(error, 'stack', { value: third ?? undefined, configurable: true, writable: true })
      for (const [name, field] of fourth as [string, unknown][]) {
        const enumerable = name !== 'cause'
        Object.defineProperty(error, name, {
          value: unwrap(field),
          configurable: true,
          writable: true,
          enumerable,
        })
      }
      return error
    }
    default:
      throw new SyntaxError('unknown type in a cached value')
  }
}

function assign(target: object, fields: unknown): object {
  for (const [name, field] of fields as [string, unknown][]) {
    // Not an assignment: an own `__proto__` must stay an own property.
    Object.defineProperty(target, name, {
      value: unwrap(field),
      configurable: true,
      enumerable: true,
      writable: true,
    })
  }
  return target
}

function copyOf(base64: string): ArrayBuffer {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
}

function unsupported(what: string): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ERR_VALUE',
    `${what} cannot keep its type in Redis; return plain data, Date, Map, Set, BigInt, Error or binary types`,
  )
}
