import { expect, it } from 'vitest'
import { parseDuration } from '../../src/duration.ts'

it.each([
  [0, 0],
  [250, 250],
  ['250ms', 250],
  ['5s', 5_000],
  ['1.5m', 90_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
])('reads %o as %i ms', (value, milliseconds) => {
  expect(parseDuration(value)).toBe(milliseconds)
})

it.each([
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  '5',
  's',
  '-5s',
  '5 s',
  '1e3s',
  '5y',
  ' 5s',
  `${'9'.repeat(400)}s`,
  null,
  {},
  5n,
  true,
])('refuses %o', (value) => {
  expect(parseDuration(value)).toBeUndefined()
})
