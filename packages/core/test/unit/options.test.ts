import { describe, expect, it } from 'vitest'
import { OptionReader } from '../../src/options.ts'

class OptionError extends Error {}
const read = new OptionReader('createThing', (message) => new OptionError(message))

describe('OptionReader', () => {
  it('refuses an unknown name and suggests the nearest', () => {
    expect(() => read.known({ timout: 1 } as object, ['timeout', 'name'] as never[])).toThrow(
      'createThing: unknown option "timout", did you mean "timeout"?',
    )
    expect(() => read.known({ zzzzzzzz: 1 } as object, ['timeout'] as never[])).toThrow(/"zzzzzzzz"$/)
  })

  it('names nested options by their path', () => {
    expect(() => read.known({ typ: 1 } as object, ['type'] as never[], 'l2')).toThrow(
      '"l2.typ", did you mean "l2.type"?',
    )
  })

  it.each([null, 1, 'x', []])('refuses %o in place of options', (value) => {
    expect(() => read.known(value as never, [])).toThrow('options must be an object')
  })

  it('bounds the work and the message for a hostile name', () => {
    const name = 'x'.repeat(1_000_000)
    expect(() => read.known({ [name]: 1 }, ['timeout'] as never[])).toThrow(/^.{0,120}$/)
  })

  it('takes undefined as the default everywhere and null nowhere', () => {
    expect(read.duration('a', undefined, 5)).toBe(5)
    expect(read.integer('a', undefined, 5)).toBe(5)
    expect(read.number('a', undefined, 0.5)).toBe(0.5)
    expect(read.boolean('a', undefined, true)).toBe(true)
    expect(read.string('a', undefined, 'x')).toBe('x')
    expect(read.oneOf('a', undefined, 'x', ['x', 'y'])).toBe('x')
    expect(read.function('a', undefined)).toBeUndefined()
    for (const kind of ['duration', 'integer', 'number', 'boolean', 'string'] as const) {
      expect(() => read[kind]('a', null as never, 1 as never)).toThrow(OptionError)
    }
  })

  it('checks ranges and says them', () => {
    expect(() => read.duration('ttl', '2h', 0, { max: 1_000 })).toThrow('ttl must be a duration')
    expect(() => read.integer('max', 1.5, 0)).toThrow('max must be a whole number')
    expect(() => read.integer('max', 11, 0, { min: 1, max: 10 })).toThrow('between 1 and 10')
    expect(() => read.number('share', Number.NaN, 0)).toThrow('share must be a number')
    expect(() => read.oneOf('mode', 'z' as 'x', 'x', ['x', 'y'])).toThrow("one of 'x', 'y'")
    expect(() => read.string('name', 'a b', '', /^\w+$/)).toThrow('must match ^\\w+$')
  })

  it('never repeats the value it refuses', () => {
    for (const refuse of [
      () => read.string('secret', 42 as never, ''),
      () => read.oneOf('secret', 'hunter2' as never, 'x', ['x']),
      () => read.duration('secret', 'hunter2' as never, 0),
    ]) {
      expect(refuse).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') }))
    }
  })

  it('says when a required option is missing', () => {
    expect(read.required('url', 'x')).toBe('x')
    expect(() => read.required('url', undefined)).toThrow('createThing: url is required')
  })
})
