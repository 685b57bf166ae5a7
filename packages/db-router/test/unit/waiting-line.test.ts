import { describe, expect, test } from 'vitest'
import { WaitingLine } from '../../src/waiting-line.ts'

describe('who waits', () => {
  test('is served in turn, but for those who left', () => {
    const line = new WaitingLine<{ id: number }>()
    const all = Array.from({ length: 500 }, (_, id) => ({ id }))
    all.forEach((one, at) => {
      line.add(one, at)
    })
    for (const one of all) if (one.id % 3 === 0) expect(line.remove(one)).toBe(true)
    expect(line.remove({ id: 1 })).toBe(false)
    const served: number[] = []
    for (let one = line.take(); one; one = line.take()) {
      served.push(one.id)
      if (one.id === 250) line.add({ id: 1_000 }, 1_000)
    }
    expect(served).toEqual([...all.map(({ id }) => id).filter((id) => id % 3 > 0), 1_000])
    expect(line.size).toBe(0)
    expect(line.since).toBeUndefined()
  })

  test('is known with the time, so that only who has waited too long is taken', () => {
    const line = new WaitingLine<{ id: number }>()
    const all = [5, 10, 15].map((id) => ({ id }))
    for (const one of all) line.add(one, one.id)
    expect([line.take(10)?.id, line.take(10)?.id, line.take(10)?.id]).toEqual([5, 10, undefined])
    expect([line.size, line.since]).toEqual([1, 15])
  })
})
