import { describe, expect, it } from 'vitest'
import { branchOf, isShared } from '../../src/position.ts'

const room = {
  epoch: 'c',
  top: 30,
  previous: [
    { epoch: 'a', top: 10 },
    { epoch: 'b', top: 20 },
  ],
}

describe('positions', () => {
  it('are shared up to the point where their epoch ended, and not beyond', () => {
    expect(isShared({ epoch: 'c', offset: 30 }, room)).toBe(true)
    expect(isShared({ epoch: 'c', offset: 31 }, room)).toBe(false)
    expect(isShared({ epoch: 'b', offset: 20 }, room)).toBe(true)
    expect(isShared({ epoch: 'b', offset: 21 }, room)).toBe(false)
    expect(isShared({ epoch: 'a', offset: 11 }, room)).toBe(false)
    expect(isShared({ epoch: 'z', offset: 0 }, room)).toBe(false)
  })

  it('that are not shared branch off where their epoch ended', () => {
    expect(branchOf({ epoch: 'b', offset: 25 }, room)).toBe(20)
    expect(branchOf({ epoch: 'c', offset: 40 }, room)).toBe(30)
    expect(branchOf({ epoch: 'z', offset: 25 }, room)).toBe(0)
  })
})
