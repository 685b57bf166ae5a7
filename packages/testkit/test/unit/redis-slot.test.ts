import { expect, it } from 'vitest'
import { SLOTS, slotOf, slotRanges } from '../../src/redis-slot.ts'

it.each([
  ['123456789', 0x31c3],
  ['foo', 12_182],
  ['bar', 5_061],
  ['{foo}', 12_182],
  ['a{foo}b{bar}', 12_182],
] as const)('gives %j the slot that Redis gives it', (key, slot) => {
  expect(slotOf(key)).toBe(slot)
})

it.each([1, 2, 3, 7, 20])('shares all slots out evenly among %i', (count) => {
  const ranges = slotRanges(count)
  expect(ranges[0]?.first).toBe(0)
  expect(ranges.at(-1)?.last).toBe(SLOTS - 1)
  ranges.slice(1).forEach((range, index) => {
    expect(range.first).toBe((ranges[index]?.last ?? 0) + 1)
  })
  const sizes = ranges.map(({ first, last }) => last - first + 1)
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
})
