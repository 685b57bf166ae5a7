import { describe, expect, it } from 'vitest'
import { judge, median, medianInterval } from '../../bench/judge.ts'

const rounds = 11
const steady = (cost: number) => Array.from({ length: rounds }, () => cost)
/** Around 1, by up to `width` to either side, evenly. */
const around = (cost: number, width: number) =>
  Array.from({ length: rounds }, (_, index) => cost * (1 - width + (2 * width * index) / (rounds - 1)))

describe('a verdict', () => {
  it('is met or missed when the control agrees with itself', () => {
    const costs = { ours: steady(1.2), control: steady(1.2), peer: steady(1) }
    expect(judge({ ratio: 1.3 }, costs)).toMatchObject({ verdict: 'met', control: 0 })
    expect(judge({ ratio: 1.1 }, costs)).toMatchObject({ verdict: 'missed' })
  })

  it('is inconclusive when the control differs from itself by more than half the margin', () => {
    const noisy = { ours: steady(1), control: around(1, 0.4), peer: steady(1) }
    expect(judge({ ratio: 1.3 }, noisy).verdict).toBe('inconclusive')
    // The same noise tells eight times from nothing, but not a missed bound from a met one close by.
    expect(judge({ advantage: 8 }, { ...noisy, peer: steady(20) }).verdict).toBe('met')
    expect(judge({ advantage: 8 }, { ...noisy, peer: steady(2) }).verdict).toBe('missed')
  })

  it('is inconclusive when the bound lies inside the interval of the value', () => {
    const costs = { ours: around(1.3, 0.1), control: around(1.3, 0.1), peer: steady(1) }
    expect(judge({ ratio: 1.3 }, costs).verdict).toBe('inconclusive')
    expect(judge({ ratio: 1.6 }, costs).verdict).toBe('met')
  })

  it('on a cost of our own takes its distance from the bound as the margin', () => {
    const costs = { ours: steady(20), control: around(20, 0.2) }
    expect(judge({ cost: 100 }, costs).verdict).toBe('met')
    expect(judge({ cost: 21 }, costs).verdict).toBe('inconclusive')
    expect(judge({ cost: 5 }, costs).verdict).toBe('missed')
  })

  it('on what is counted takes the bound as the measure, so that nothing at all can be told from little', () => {
    const costs = { ours: [0, 0, 1, 0, 0], control: [0, 1, 0, 0, 0] }
    expect(judge({ most: 10, unit: '%' }, costs)).toMatchObject({ value: 0, control: 0.1, verdict: 'met' })
    expect(judge({ most: 1, unit: '%' }, costs).verdict).toBe('inconclusive')
  })

  it('does not call a bound in µs missed on a busy machine', () => {
    const costs = { ours: steady(20), control: steady(20), peer: steady(10), busy: true }
    expect(judge({ cost: 5 }, costs).verdict).toBe('inconclusive')
    expect(judge({ added: 5 }, costs).verdict).toBe('inconclusive')
    expect(judge({ cost: 40 }, costs).verdict).toBe('met')
    expect(judge({ ratio: 1.5 }, costs).verdict).toBe('missed')
  })

  it('on a difference subtracts round by round and measures the noise by our cost', () => {
    const ours = [41, 61, 42, 62, 41]
    const peer = [40, 60, 41, 61, 40]
    expect(judge({ added: 2 }, { ours, control: ours, peer })).toMatchObject({ value: 1, verdict: 'met' })
    const control = [40, 58, 44, 64, 39]
    expect(judge({ added: 2 }, { ours, control, peer }).verdict).toBe('inconclusive')
  })

  it('compares within each round, so that a slow minute of the machine tells nothing', () => {
    const slow = [1, 1, 1, 5, 5, 5, 9]
    const ours = slow.map((factor) => factor * 1.1)
    expect(judge({ ratio: 1.3 }, { ours, control: ours, peer: slow }).value).toBeCloseTo(1.1)
  })

  it('is inconclusive when a round is missing', () => {
    const costs = { ours: steady(1), control: [], peer: steady(1) }
    expect(judge({ ratio: 1.3 }, costs).verdict).toBe('inconclusive')
  })
})

describe('the median', () => {
  it('is the middle, or between the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  it('lies in an interval that leaves out no more of the ends than the sign test allows', () => {
    const values = (length: number) => Array.from({ length }, (_, index) => index + 1)
    // Tables of the sign test: all of 5, and of 11, 30 all but the outer 2 (2 × 3.3 %) and 9 (2 × 2.1 %).
    expect(medianInterval(values(5))).toEqual({ low: 1, high: 5 })
    expect(medianInterval(values(11))).toEqual({ low: 3, high: 9 })
    expect(medianInterval(values(30))).toEqual({ low: 10, high: 21 })
  })
})
