import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../src/codec.ts'

const withPrototypeKey: unknown = JSON.parse('{"__proto__":{"polluted":true},"a":1}')

describe('the codec', () => {
  const values: Readonly<Record<string, unknown>> = {
    string: 'tëxt \ud83d\ude00 \u0000 \ud800',
    number: 1.5,
    'minus zero': -0,
    NaN: Number.NaN,
    infinity: Number.NEGATIVE_INFINITY,
    bigint: 12345678901234567890n,
    null: null,
    undefined,
    boolean: false,
    'plain object': { a: [1, { b: 'c' }], d: null },
    'undefined property': { a: undefined, b: [undefined, 1] },
    'dollar property': { $: ['Date', 5], b: { $: 1 } },
    'own __proto__': withPrototypeKey,
    'toJSON property': { toJSON: 'not a function' },
    'null prototype': Object.assign(Object.create(null), { a: 1 }),
    date: new Date(1_700_000_000_000),
    'invalid date': new Date(Number.NaN),
    map: new Map<unknown, unknown>([
      ['a', new Date(1)],
      [{ k: 1 }, new Set([1n])],
    ]),
    set: new Set([1, 'a', undefined]),
    regexp: /a(b)/giu,
    url: new URL('https://example.com/a?b=c'),
    buffer: Buffer.from([0, 255, 10]),
    'array buffer': new Uint8Array([1, 2, 3]).buffer,
    uint8: new Uint8Array([1, 2, 255]),
    float64: new Float64Array([1.5, Number.NaN]),
    bigint64: new BigInt64Array([-1n]),
    'view at an offset': new Uint16Array(new ArrayBuffer(16), 4, 2),
    'data view': new DataView(new Uint8Array([9, 8, 7]).buffer, 1),
    error: Object.assign(new RangeError('out', { cause: new Error('in') }), { code: 'E', at: new Date(0) }),
  }

  for (const [name, value] of Object.entries(values)) {
    it(`keeps the type of: ${name}`, () => {
      for (const held of [value, [value], { held: value }, new Map([['held', value]])]) {
        const back = decode(encode(held))
        expect(back).toStrictEqual(held)
        expect(encode(back)).toBe(encode(held))
      }
    })
  }

  it('keeps prototypes and cannot be used to change them', () => {
    const back = decode(encode({ date: new Date(0), bare: Object.create(null), evil: withPrototypeKey })) as {
      readonly date: Date
      readonly bare: object
    }
    expect(Object.getPrototypeOf(back.date)).toBe(Date.prototype)
    expect(Object.getPrototypeOf(back.bare)).toBe(null)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it('refuses what cannot keep its type, and says why', () => {
    class User {
      readonly name = 'n'
    }
    class Problem extends Error {}
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const bad of [() => 1, Symbol('s'), new User(), new Problem(), cycle, { deep: [new User()] }]) {
      expect(() => encode(bad)).toThrow(expect.objectContaining({ code: 'CACHE_ERR_VALUE' }))
    }
  })

  it('writes plain data as JSON', () => {
    expect(encode({ a: 1 })).toBe('j{"a":1}')
  })
})
