import { describe, expect, it } from 'vitest'
import { checkKey, checkOwnKey, checkPrefix } from '../../src/key.ts'

describe('a key', () => {
  it.each([
    'a',
    'a/b/c',
    'é/ü/日本',
    ' a ',
    'a..b',
    '...',
    '.hidden',
    'a'.repeat(1_024),
    'ü'.repeat(512),
    "it's (1)!*",
  ])('may be %j', (key) => {
    expect(checkKey(key)).toBe(key)
  })

  it.each([
    ['empty', ''],
    ['longer than 1,024 characters', 'a'.repeat(1_025)],
    ['longer than 1,024 bytes of UTF-8', 'ü'.repeat(513)],
    ['with NUL', 'a\0b'],
    ['with a line break', 'a\nb'],
    ['with DEL', 'a\u007f'],
    ['with a backslash', 'a\\b'],
    ['with half a surrogate pair', 'a\ud800'],
    ['from the root', '/a'],
    ['of a folder', 'a/'],
    ['with an empty segment', 'a//b'],
    ['that goes up', '../a'],
    ['that goes up inside', 'a/../b'],
    ['that stays', 'a/./b'],
    ['just dots', '..'],
    ['a number', 7 as unknown as string],
    ['null', null as unknown as string],
  ])('may not be %s', (_, key) => {
    expect(() => checkKey(key)).toThrowError(expect.objectContaining({ code: 'STORAGE_ERR_KEY' }))
  })

  it('is not repeated in the message', () => {
    expect(() => checkKey('secret/../name')).toThrowError(expect.not.stringContaining('secret') as never)
  })

  it('of the quarantine cannot be written by the app', () => {
    expect(() => checkOwnKey('quarantine/x')).toThrowError(
      expect.objectContaining({ code: 'STORAGE_ERR_KEY' }),
    )
    expect(checkOwnKey('quarantined/x')).toBe('quarantined/x')
  })
})

describe('a prefix', () => {
  it('may be empty or end in a slash, and is else a key', () => {
    expect(checkPrefix('')).toBe('')
    expect(checkPrefix('a/b/')).toBe('a/b/')
    for (const prefix of ['/', 'a//', '../', 'a\0']) {
      expect(() => checkPrefix(prefix)).toThrowError(expect.objectContaining({ code: 'STORAGE_ERR_KEY' }))
    }
  })
})
