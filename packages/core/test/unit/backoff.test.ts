import { expect, it } from 'vitest'
import { backoff } from '../../src/backoff.ts'

const top = { base: 100, cap: 1_000, random: () => 0.999_999 }

it('doubles the upper bound up to the cap', () => {
  expect([0, 1, 2, 3, 4, 5].map((attempt) => Math.round(backoff(attempt, top)))).toEqual([
    100, 200, 400, 800, 1_000, 1_000,
  ])
})

it('draws uniformly from zero', () => {
  expect(backoff(3, { ...top, random: () => 0 })).toBe(0)
  expect(backoff(1, { ...top, random: () => 0.5 })).toBe(100)
})

it('stays bounded after thousands of attempts', () => {
  expect(backoff(5_000, { base: 100, cap: 1_000 })).toBeLessThanOrEqual(1_000)
})
