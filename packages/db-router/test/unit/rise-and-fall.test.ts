import { describe, expect, test } from 'vitest'
import { RiseAndFall } from '../../src/rise-and-fall.ts'

describe('a server', () => {
  test('falls after as many failed probes in a row as are allowed, not after as many in all', () => {
    const standing = new RiseAndFall({ rise: 2, fall: 3 })
    for (let round = 0; round < 5; round++) {
      standing.missed()
      standing.missed()
      expect(standing.fallen).toBe(false)
      standing.answered()
    }
    for (let probe = 0; probe < 3; probe++) standing.missed()
    expect(standing.fallen).toBe(true)
  })

  test('rises after as many good probes in a row, so that one that comes and goes is left alone', () => {
    const standing = new RiseAndFall({ rise: 3, fall: 1 })
    standing.fell()
    expect(standing.fallen).toBe(true)
    for (let round = 0; round < 5; round++) {
      standing.answered()
      standing.answered()
      expect(standing.mayRise(0)).toBe(false)
      standing.missed()
    }
    for (let probe = 0; probe < 3; probe++) standing.answered()
    expect(standing.mayRise(0)).toBe(true)
  })

  test('where statements fail is left for 5 s though its probes are good, longer each time, 2 minutes at most', () => {
    const standing = new RiseAndFall({ rise: 1, fall: 1 })
    let now = 1_000
    const left: number[] = []
    for (let time = 0; time < 7; time++) {
      standing.hold(now)
      const since = now
      standing.answered()
      while (!standing.mayRise(now)) now += 1_000
      left.push((now - since) / 1_000)
    }
    expect(left).toEqual([5, 10, 20, 40, 80, 120, 120])
    now += 121_000
    standing.hold(now)
    standing.answered()
    expect([standing.mayRise(now + 4_999), standing.mayRise(now + 5_000)]).toEqual([false, true])
  })

  test('counts what breaks at once as one failure', () => {
    const standing = new RiseAndFall({ rise: 1, fall: 1 })
    expect([0, 50, 99, 100, 150, 250].map((now) => standing.failed(now))).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
    ])
  })
})
