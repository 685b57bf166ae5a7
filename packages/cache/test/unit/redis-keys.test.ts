import { hashSlot } from '@cays/core/redis-script'
import { describe, expect, it } from 'vitest'
import { RedisKeys } from '../../src/redis-keys.ts'

const keys = new RedisKeys({ namespace: 'shop@1', l2: { prefix: 'p' } })
/** What has a meaning, and looks like what stands for it. */
const PARTS = [
  'a',
  '%',
  '{',
  '}',
  '%25',
  '%7b',
  '%ud800',
  '\ud800',
  '\udc00',
  '\ud801',
  '😀',
  '\ufffd',
  ':l',
  '',
]

describe('names in Redis', () => {
  it('are distinct for distinct keys, hold on the wire, and lead back to the key', () => {
    const all = PARTS.flatMap((a) => PARTS.flatMap((b) => PARTS.map((c) => a + b + c)))
    const seen = new Map<string, string>()
    for (const key of all) {
      const name = keys.value(key)
      expect(Buffer.from(name).toString()).toBe(name)
      expect(seen.get(name) ?? key).toBe(key)
      seen.set(name, key)
      expect(keys.keyOf(name)).toBe(key)
    }
    expect(seen.size).toBe(new Set(all).size)
  })

  it('put a value and its lease into one slot, and nothing else leads back to a key', () => {
    for (const key of PARTS) {
      const [value, lease] = keys.pair(key)
      expect(hashSlot(value)).toBe(hashSlot(lease))
      expect(keys.keyOf(lease)).toBeUndefined()
    }
    for (const name of [keys.meta, keys.feed, keys.channel, keys.tag('t'), 'p:{other@1:k}']) {
      expect(keys.keyOf(name)).toBeUndefined()
    }
  })
})
