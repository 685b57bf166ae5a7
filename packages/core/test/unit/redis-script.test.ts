import { describe, expect, it } from 'vitest'
import { hashSlot, hashTag } from '../../src/redis-script.ts'

describe('hashSlot', () => {
  it.each([
    ['123456789', 12739],
    ['foo', 12182],
    ['{user1000}.following', hashSlot('user1000')],
    ['foo{}{bar}', hashSlot('foo{}{bar}')],
    ['foo{{bar}}zap', hashSlot('{bar')],
    ['foo{bar}{zap}', hashSlot('bar')],
  ])('%s lies in slot %i', (key, slot) => {
    expect(hashSlot(key)).toBe(slot)
  })
})

describe('hashTag', () => {
  it('keeps all keys of a subject in one slot', () => {
    expect(hashSlot(`a:${hashTag('user:1')}:value`)).toBe(hashSlot(`b:${hashTag('user:1')}:lease`))
  })

  it('gives no two subjects the same tag, whatever braces they hold', () => {
    const subjects = ['a', '{a}', 'a}', '{a', '%7ba', 'a%7d', '%257ba', '{}', '%', '']
    expect(new Set(subjects.map(hashTag)).size).toBe(subjects.length)
    for (const subject of subjects) expect(hashTag(subject).match(/[{}]/g)).toHaveLength(2)
  })
})
