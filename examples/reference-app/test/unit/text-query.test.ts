import { expect, it } from 'vitest'
import { textQuery } from '../../server/domain/job-search.ts'

it.each([
  ['chef', 'chef:*'],
  ['pastry chef', 'pastry & chef:*'],
  ["governor's  harbour", 'governor & s & harbour:*'],
  ['the nurse in nassau', 'nurse & nassau:*'],
  ["'); drop table jobs; --", 'drop & table & jobs:*'],
  ['a & b | !c:*', 'b & c:*'],
  ['ｃｈｅｆ', 'chef:*'],
])('reads %o as %o', (text, query) => {
  expect(textQuery(text)).toBe(query)
})

it.each([undefined, '', '   ', '&|!():*', 'the', 'in the'])('asks for no word in %o', (text) => {
  expect(textQuery(text)).toBeUndefined()
})

it('takes eight words at most', () => {
  expect(textQuery('x1 '.repeat(40))?.split(' & ')).toHaveLength(8)
})
