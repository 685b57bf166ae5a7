import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/memory-store.ts'
import { playScenario } from '../model/scenario.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))

describe('the memory store', () => {
  it(`answers like the reference in every field of every decision (seed ${seed})`, async () => {
    let compared = 0
    for (let round = 0; round < 12; round++) {
      let clock = 0
      const store = new MemoryStore({ max: 1_000, now: () => clock })
      compared += await playScenario(
        {
          async run(now, operations) {
            clock = now
            return operations.map(({ shape, subject }) => store.run(shape, subject))
          },
        },
        seed + round,
        400,
      )
    }
    expect(compared).toBeGreaterThan(4_000)
  }, 30_000)
})
