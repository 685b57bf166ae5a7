import { describe, expect, test } from 'vitest'
import { type R2Fault, R2FaultPlan } from '../../src/r2-faults.ts'

const strikes = (plan: R2FaultPlan, times: number) =>
  Array.from({ length: times }, () => plan.strike('PutObject', 'a/b', 3) !== undefined)

describe('a fault', () => {
  test('hits only what it names', () => {
    const plan = new R2FaultPlan(1)
    plan.add({ status: 503, operation: ['UploadPart', 'PutObject'], prefix: 'a/', partNumber: 3 })
    expect(plan.strike('PutObject', 'a/b', 3)?.status).toBe(503)
    expect(plan.strike('UploadPart', 'a/', 3)?.status).toBe(503)
    expect(plan.strike('GetObject', 'a/b', 3)).toBeUndefined()
    expect(plan.strike('PutObject', 'b/a', 3)).toBeUndefined()
    expect(plan.strike('PutObject', 'a/b', 4)).toBeUndefined()
    expect(plan.strike('PutObject', 'a/b', undefined)).toBeUndefined()
  })

  test('lets some pass and ends after its count', () => {
    const plan = new R2FaultPlan(1)
    plan.add({ status: 500, skip: 2, count: 2 })
    expect(strikes(plan, 6)).toEqual([false, false, true, true, false, false])
  })

  test('of a probability repeats with the seed', () => {
    const run = (seed: number) => {
      const plan = new R2FaultPlan(seed)
      plan.add({ cut: 'before', probability: 0.3 })
      return strikes(plan, 1000)
    }
    expect(run(7)).toEqual(run(7))
    expect(run(7)).not.toEqual(run(8))
    const share = run(7).filter(Boolean).length / 1000
    expect(share).toBeGreaterThan(0.25)
    expect(share).toBeLessThan(0.35)
  })

  test('ends when it is disposed, all end when cleared', () => {
    const plan = new R2FaultPlan(1)
    const first = plan.add({ latency: '1s' })
    plan.add({ latency: 50 })
    expect(plan.strike('PutObject', 'a', undefined)?.latency).toBe(1050)
    first[Symbol.dispose]()
    expect(plan.strike('PutObject', 'a', undefined)?.latency).toBe(50)
    plan.clear()
    expect(plan.strike('PutObject', 'a', undefined)).toBeUndefined()
  })

  test.each([
    [{}],
    [{ operation: 'PutObject' }],
    [{ latency: -1 }],
    [{ latency: 'soon' }],
    [{ status: 404 }],
    [{ status: 500, when: 'later' }],
    [{ cut: 'middle' }],
    [{ cut: -1 }],
    [{ status: 500, probability: 2 }],
    [{ status: 500, count: 0 }],
    [{ status: 500, partNumber: 0 }],
    [{ bytesPerSecond: 0 }],
    [{ status: 500, opration: 'PutObject' }],
  ])('of %j is refused', (fault) => {
    const add = () => new R2FaultPlan(1).add(fault as R2Fault)
    expect(add).toThrow(expect.objectContaining({ code: 'TESTKIT_ERR_OPTIONS' }))
  })
})
