import type { QueryResult } from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { hedging } from '../../src/hedge.ts'
import type { HedgedRead } from '../../src/hedged-read.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const answer = (server: string) => ({ command: server }) as QueryResult

/** A read that takes so long on each of two servers, or fails there when told to; `undefined` is no second server. */
function read(one: number | Error, two: number | Error | undefined, text = 'select 1') {
  const aborted: string[] = []
  let seconds = 0
  const on = (server: string, takes: number | Error, signal: AbortSignal) => {
    signal.addEventListener('abort', () => aborted.push(server))
    return new Promise<QueryResult>((resolve, reject) => {
      if (takes instanceof Error) setTimeout(reject, 30, takes)
      else setTimeout(resolve, takes, answer(server))
    })
  }
  const hedged: HedgedRead = {
    text,
    first: (signal) => on('one', one, signal),
    second: async () => {
      if (two === undefined) return undefined
      return (signal) => {
        seconds++
        return on('two', two, signal)
      }
    },
  }
  return { hedged, aborted, seconds: () => seconds }
}

/** Which server answered, or why none did. */
async function outcome(running: Promise<QueryResult>): Promise<string> {
  const settled = running.then(
    ({ command }) => command,
    (error: Error) => error.message,
  )
  await vi.runAllTimersAsync()
  return await settled
}

describe('a hedged read', () => {
  test('is answered by the first server when that is in time, and asks no other', async () => {
    const { hedged, seconds } = read(10, 1)
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(hedged))).toBe('one')
    expect(seconds()).toBe(0)
  })

  test('is answered by whichever is first once the first server is late, and the other is given up', async () => {
    const slow = read(500, 10)
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(slow.hedged))).toBe('two')
    expect(slow.aborted).toEqual(['one'])
    const quick = read(30, 500)
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(quick.hedged))).toBe('one')
    expect(quick.aborted).toEqual(['two'])
  })

  test('fails as the first server says, unless the second can answer', async () => {
    const error = new Error('broken')
    expect(await outcome(hedging({ after: 50, budget: 1 }).run(read(error, 1).hedged))).toBe('broken')
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(read(error, 100).hedged))).toBe('two')
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(read(error, error).hedged))).toBe('broken')
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(read(100, error).hedged))).toBe('one')
  })

  test('waits for the first server when there is no second', async () => {
    expect(await outcome(hedging({ after: 20, budget: 1 }).run(read(500, undefined).hedged))).toBe('one')
  })

  test('is not sent again more often than the budget says', async () => {
    const policy = hedging({ after: 1, budget: 0.1 })
    let seconds = 0
    for (let round = 0; round < 100; round++) {
      const one = read(50, 50)
      await outcome(policy.run(one.hedged))
      seconds += one.seconds()
    }
    expect(seconds).toBeGreaterThanOrEqual(9)
    expect(seconds).toBeLessThanOrEqual(10)
  })

  test('saves up no more than a handful of second reads', async () => {
    const policy = hedging({ after: 20, budget: 1 })
    for (let round = 0; round < 100; round++) await outcome(policy.run(read(1, 1).hedged))
    const late = Array.from({ length: 30 }, () => read(50, 50))
    await Promise.all(late.map(({ hedged }) => outcome(policy.run(hedged))))
    expect(late.reduce((sum, { seconds }) => sum + seconds(), 0)).toBe(10)
  })

  test('waits as long as nearly all runs of the same text took lately', async () => {
    const policy = hedging({ budget: 1 })
    for (let round = 0; round < 100; round++) await outcome(policy.run(read(10 + (round % 10), 1).hedged))
    const inTime = read(18, 1)
    await outcome(policy.run(inTime.hedged))
    const late = read(500, 1)
    await outcome(policy.run(late.hedged))
    const unknown = read(500, 1, 'select 2')
    await outcome(policy.run(unknown.hedged))
    expect([inTime, late, unknown].map(({ seconds }) => seconds())).toEqual([0, 1, 0])
  })

  test('refuses options that make no sense', () => {
    expect(() => hedging({ budget: 2 })).toThrow(/budget/)
    expect(() => hedging({ later: 1 } as object)).toThrow(/later/)
  })
})
