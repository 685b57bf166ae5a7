import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type AdaptiveConcurrency, adaptiveConcurrency } from '../../src/index.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Keeps `demand` calls going for so many rounds against a backend with so many places. */
async function play(shed: AdaptiveConcurrency, rounds: number, demand: number, places: number, service = 20) {
  for (let round = 0; round < rounds; round++) {
    const slots = Array.from({ length: demand }, () => shed.enter()).filter((slot) => slot.allowed)
    // What does not fit queues in the backend, so everybody takes longer.
    await vi.advanceTimersByTimeAsync(service * Math.max(1, slots.length / places))
    for (const slot of slots) slot.release()
  }
}

describe('adaptiveConcurrency', () => {
  it('grows while answers stay as fast, and shrinks when they slow down', async () => {
    const shed = adaptiveConcurrency({ initial: 10, max: 100 })
    await play(shed, 800, 120, 1_000)
    expect(shed.limit).toBe(100)
    await play(shed, 60, 120, 10)
    expect(shed.limit).toBeLessThan(60)
    await play(shed, 1_500, 120, 1_000)
    expect(shed.limit).toBe(100)
  })

  it('stands still while little of it is used, and shrinks when work is dropped', async () => {
    const shed = adaptiveConcurrency({ initial: 40 })
    await play(shed, 100, 10, 1_000)
    expect(shed.limit).toBe(40)
    for (let call = 0; call < 20; call++) {
      const slot = shed.enter()
      await vi.advanceTimersByTimeAsync(20)
      slot.release('dropped')
    }
    expect(shed.limit).toBeLessThan(40)
  })

  it('gives each share its part when nothing is free, and what is free to whoever comes', () => {
    const shed = adaptiveConcurrency({ initial: 10, shares: { live: 0.8, batch: 0.2 } })
    const batch = Array.from({ length: 12 }, () => shed.enter('batch'))
    expect(batch.filter((slot) => slot.allowed)).toHaveLength(10)
    const live = Array.from({ length: 12 }, () => shed.enter('live'))
    expect(live.filter((slot) => slot.allowed)).toHaveLength(8)
    expect(shed.enter('batch').allowed).toBe(false)
    for (const slot of [...batch, ...live]) slot.release('ignored')
    expect(shed.inFlight).toBe(0)
  })

  it('gives a place back once, whatever happens', () => {
    const shed = adaptiveConcurrency({ initial: 4 })
    {
      using slot = shed.enter()
      slot.release()
      slot.release('dropped')
    }
    expect(shed.inFlight).toBe(0)
  })

  it('refuses bounds and shares that make no sense', () => {
    expect(() => adaptiveConcurrency({ shares: { a: 0.9, b: 0.2 } })).toThrow(/add up to 1/)
    expect(() => adaptiveConcurrency({ shares: null as never })).toThrow(/shares must be an object/)
    expect(() => adaptiveConcurrency({ min: 5, max: 4 })).toThrow(/max must be/)
    expect(() => adaptiveConcurrency({ shares: { a: 1 } }).enter('b' as never)).toThrow(/one of the shares/)
    expect(() => adaptiveConcurrency().enter('b')).toThrow(/one of the shares/)
  })
})
