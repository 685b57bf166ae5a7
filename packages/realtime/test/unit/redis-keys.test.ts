import { hashSlot } from '@cays/core/redis-script'
import { describe, expect, it } from 'vitest'
import { keySpace } from '../../src/redis-keys.ts'

describe('keys of rooms', () => {
  it('share one slot per room, and name the room in the channel', () => {
    const space = keySpace('rt')
    const keys = space.keys('job:{odd}}name')
    const all = [keys.meta, keys.stream, keys.idempotency('k')]
    expect(new Set(all.map(hashSlot)).size).toBe(1)
    expect(space.roomOf(keys.stream)).toBe('job:{odd}}name')
    expect(space.roomOf('other:{x}:s:job')).toBeUndefined()
  })

  it('spread evenly over clusters of any size', () => {
    const space = keySpace('rt')
    const slots = Array.from({ length: 20_000 }, (_, n) => hashSlot(space.keys(`job:${n}`).meta))
    for (const nodes of [3, 6, 10]) {
      const loads = new Array<number>(nodes).fill(0)
      for (const slot of slots) {
        const node = Math.floor((slot * nodes) / 16_384)
        loads[node] = (loads[node] ?? 0) + 1
      }
      expect(Math.max(...loads) / Math.min(...loads)).toBeLessThan(1.35)
    }
  })
})
