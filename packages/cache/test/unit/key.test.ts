import { describe, expect, it } from 'vitest'
import { callKey, plainKey } from '../../src/key.ts'

/** Random argument lists; ten million in `npm run soak`. */
const ARGUMENTS = Number(process.env.CACHE_KEYS ?? 20_000)

describe('plain keys', () => {
  it('stay as they are', () => {
    expect(plainKey('user:42')).toBe('user:42')
  })

  it('never reach the key of a call, whatever a visitor sends', () => {
    expect(plainKey(callKey('user', ['42']))).not.toBe(callKey('user', ['42']))
    expect(plainKey('@@a')).not.toBe(plainKey('@a'))
  })

  it('are shortened by a digest when long, without meeting', () => {
    const long = 'a'.repeat(10_000)
    expect(plainKey(long).length).toBeLessThan(60)
    expect(plainKey(long)).not.toBe(plainKey(`${long}b`))
    expect(plainKey(`${long}\ud800`)).not.toBe(plainKey(`${long}\ud801`))
    expect(plainKey(plainKey(long))).not.toBe(plainKey(long))
  })

  it('must be strings', () => {
    expect(() => plainKey(42 as never)).toThrow(expect.objectContaining({ code: 'CACHE_ERR_KEY' }))
  })
})

describe('keys of calls', () => {
  const distinct: readonly (readonly unknown[])[] = [
    [],
    [''],
    ['', ''],
    [','],
    ['a,b'],
    ['a', 'b'],
    ['a","b'],
    [['a', 'b']],
    [['a'], 'b'],
    [[['a']], 'b'],
    [42],
    ['42'],
    [42n],
    ['42n'],
    [0],
    [-0],
    [Number.NaN],
    ['NaN'],
    [Number.POSITIVE_INFINITY],
    [null],
    ['null'],
    [undefined],
    [undefined, undefined],
    [true],
    ['true'],
    [{}],
    [{ a: 1 }],
    [{ a: '1' }],
    [{ a: undefined }],
    [{ 'a":1,"b': 2 }],
    [{ a: 1, b: 2 }],
    [[]],
    [[undefined]],
    [[null]],
    [new Date(0)],
    ['Date(0)'],
    [new Map([['a', 1]])],
    [new Map([['b', 1]])],
    [[['a', 1]]],
    [new Set(['a'])],
    [new Set()],
    [new Map()],
    [new Uint8Array([1])],
    [new Int8Array([1])],
    [Buffer.from([1])],
    [new URL('http://a/')],
    ['http://a/'],
    ['\ud800'],
    ['\ud801'],
    ['\\ud800'],
    ['\ufffd'],
  ]

  it('are distinct for distinct arguments', () => {
    const keys = distinct.map((args) => callKey('f', args))
    expect(new Set(keys).size).toBe(distinct.length)
  })

  it('do not depend on the order of properties', () => {
    expect(callKey('f', [{ a: 1, b: { c: 1, d: 2 } }])).toBe(callKey('f', [{ b: { d: 2, c: 1 }, a: 1 }]))
  })

  it('refuse what has no injective form', () => {
    class User {}
    const cycle: unknown[] = []
    cycle.push(cycle)
    for (const bad of [() => 1, Symbol('s'), new User(), cycle, { f: () => 1 }]) {
      expect(() => callKey('f', [bad])).toThrow(expect.objectContaining({ code: 'CACHE_ERR_KEY' }))
    }
  })
})

describe('adversarial arguments', () => {
  it('give a million keys of which no two are equal', () => {
    const parts: readonly unknown[] = [
      ...[
        '',
        'a',
        '"',
        ',',
        '","',
        '",\\"',
        '(',
        ')',
        '[',
        ']',
        '[]',
        '{',
        '}',
        '{}',
        ':',
        '\\',
        '@',
        '\u0000',
      ],
      ...[
        '1',
        '-0',
        'NaN',
        'null',
        'undefined',
        'true',
        '1n',
        'Date(0)',
        'Map()',
        '\ud800',
        '\udc00',
        '\ufffd',
      ],
      ...[0, -0, 1, -1, 11, 1e21, 1e-7, Number.NaN, Number.POSITIVE_INFINITY, 0n, 1n, -1n],
      ...[null, undefined, true, false, new Date(0), new Date(Number.NaN), new URL('a:b'), [], {}],
      ...[
        new Set(),
        new Map(),
        new Set([1]),
        new Map([[1, 1]]),
        [1],
        ['1'],
        [[]],
        { a: 1 },
        { 'a":1,"b': 1 },
      ],
    ]
    const shapes: readonly ((a: unknown, b: unknown, c: unknown) => readonly unknown[])[] = [
      (a, b, c) => [a, b, c],
      (a, b, c) => [[a, b], c],
      (a, b, c) => [a, [b, c]],
      (a, b, c) => [{ a, b }, c],
      (a, b, c) => [[[a]], b, { c }],
    ]
    const seen = new Set<number>()
    let keys = 0
    for (const shape of shapes) {
      for (const a of parts) {
        for (const b of parts) {
          for (const c of parts) {
            seen.add(digest(callKey('f', shape(a, b, c))))
            keys++
          }
        }
      }
    }
    expect(keys).toBeGreaterThan(1_000_000)
    expect(seen.size).toBe(keys)
  }, 120_000)

  it(
    'of any shape give equal keys only where they are equal',
    () => {
      const seed = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31))
      console.log(`seed ${seed}`)
      const random = generator(seed)
      const texts = new Map<string, string>()
      const pieces = ['a', '"', ',', '(', ')', '[', ']', '{', '}', ':', '\\', '@', '\u0000', '1', '-', 'n']
      for (let i = 0; i < ARGUMENTS; i++) {
        // In the soak, keys meet those of their own two million.
        if (texts.size > 2_000_000) texts.clear()
        const args = Array.from({ length: random() % 4 }, () => value(0))
        const key = callKey('f', args)
        const identity = identityOf(args)
        const before = texts.get(key)
        if (before !== undefined && before !== identity) expect(before).toBe(identity)
        texts.set(key, identity)
      }
      expect(texts.size).toBeGreaterThan(1_000)

      function value(depth: number): unknown {
        switch (random() % (depth > 2 ? 6 : 9)) {
          case 0:
            return Array.from({ length: random() % 4 }, () => pieces[random() % pieces.length]).join('')
          case 1:
            return [0, -0, 1, 11, 1e21, Number.NaN][random() % 6]
          case 2:
            return BigInt(random() % 3)
          case 3:
            return [null, undefined, true, false][random() % 4]
          case 4:
            return String(random() % 12)
          case 5:
            return new Date(random() % 3)
          case 6:
            return Array.from({ length: random() % 3 }, () => value(depth + 1))
          case 7:
            return Object.fromEntries(
              Array.from({ length: random() % 3 }, () => [
                pieces[random() % pieces.length],
                value(depth + 1),
              ]),
            )
          default:
            return new Set(Array.from({ length: random() % 3 }, () => value(depth + 1)))
        }
      }
    },
    60_000 + ARGUMENTS,
  )

  /** 53 bits: a million of them meet once in 20,000 such sets, and this set is always the same. */
  function digest(text: string): number {
    let high = 0xdeadbeef
    let low = 0x41c6ce57
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      high = Math.imul(high ^ code, 2654435761)
      low = Math.imul(low ^ code, 1597334677)
    }
    high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
    low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
    return 4294967296 * (2097151 & low) + (high >>> 0)
  }

  // An oracle that shares nothing with the encoder: lengths before contents, types by name.
  function identityOf(given: unknown): string {
    if (Array.isArray(given)) return `A${given.length}<${given.map(identityOf).join('')}>`
    if (given instanceof Date) return `D${given.getTime()};`
    if (given instanceof Set) return `S${given.size}<${[...given].map(identityOf).join('')}>`
    if (typeof given === 'object' && given !== null) {
      const fields = Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1))
      return `O${fields.length}<${fields.map(([name, field]) => `${name.length}.${name}${identityOf(field)}`).join('')}>`
    }
    const text = Object.is(given, -0) ? 'minus zero' : String(given)
    return `${typeof given}${text.length}.${text}`
  }

  function generator(seed: number): () => number {
    let state = seed >>> 0 || 1
    return () => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      state >>>= 0
      return state
    }
  }
})
