import { describe, expect, it } from 'vitest'
import { type BenchmarkCase, type Claim, defineCase } from '../../bench/define-case.ts'

const contender = (name: string) => ({ name, prepare: () => ({ run() {} }) })

function declare(claim: Partial<Claim>, more: Partial<BenchmarkCase> = {}) {
  return defineCase({
    operation: 'nothing',
    contenders: [contender('ours'), contender('theirs')],
    claims: [{ figure: 'cost', must: { ratio: 1.3 }, against: 'theirs', ...claim }],
    ...more,
  })
}

describe('a case', () => {
  it('is complete with its defaults', () => {
    expect(declare({})).toMatchObject({ rounds: 11, roundTime: 200, needs: {} })
  })

  it('with a margin under 15 % is refused over fewer than 30 rounds, or 100 by the clock', () => {
    expect(() => declare({ must: { ratio: 1.06 } })).toThrow('margin under 15 %')
    expect(() => declare({ must: { ratio: 1.06 }, by: 'time' }, { rounds: 40 })).toThrow('margin under 15 %')
    expect(() => declare({ must: { advantage: 1.1 } })).toThrow('margin under 15 %')
    expect(declare({ must: { ratio: 1.06 } }, { rounds: 30 }).rounds).toBe(30)
    expect(declare({ must: { ratio: 1.06 }, by: 'time' }, { rounds: 100 }).rounds).toBe(100)
  })

  it('is refused when it could not be judged', () => {
    expect(() => declare({ against: 'nobody' })).toThrow('no contender nobody')
    expect(() => declare({ must: { cost: 5 } })).toThrow('a cost has no peer')
    expect(() => declare({}, { rounds: 4 })).toThrow('at least 5 rounds')
    expect(() => declare({}, { contenders: [contender('ours'), contender('ours')] })).toThrow('one name')
  })
})
