import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PrimaryShare } from '../../src/primary-share.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function share(more: Partial<ConstructorParameters<typeof PrimaryShare>[0]> = {}) {
  return new PrimaryShare({ slots: 2, queue: 1_000, wait: 1_000, usual: () => 0, ...more })
}

/** What became of so many reads that ask for a place now. */
async function ask(of: PrimaryShare, count: number, signal?: AbortSignal) {
  const entering = Array.from({ length: count }, () => of.enter(signal))
  const results = entering.map((entered) => ({ state: entered === undefined ? 'in' : 'waiting' }))
  entering.forEach((entered, index) => {
    entered?.then(
      () => Object.assign(results[index] ?? {}, { state: 'in' }),
      (error: { code?: string }) => Object.assign(results[index] ?? {}, { state: error.code ?? 'aborted' }),
    )
  })
  await vi.advanceTimersByTimeAsync(0)
  const count_ = (state: string) => results.filter((result) => result.state === state).length
  return {
    in: () => count_('in'),
    waiting: () => count_('waiting'),
    shed: () => count_('DB_ERR_FALLBACK_SHED'),
  }
}

describe('the share of the primary', () => {
  test('lets in as many as it has places, the others when one is free, in turn', async () => {
    const places = share()
    const reads = await ask(places, 3)
    expect([reads.in(), reads.waiting()]).toEqual([2, 1])
    places.leave()
    await vi.advanceTimersByTimeAsync(0)
    expect(reads.in()).toBe(3)
    places.leave()
    places.leave()
    expect(places.used).toBe(0)
  })

  test('lets none wait longer than it may', async () => {
    const places = share({ wait: 100 })
    const reads = await ask(places, 5)
    await vi.advanceTimersByTimeAsync(99)
    expect(reads.waiting()).toBe(3)
    await vi.advanceTimersByTimeAsync(1)
    expect(reads.shed()).toBe(3)
    expect(places.waiting).toBe(0)
  })

  test('refuses at once who would wait too long at the pace of the others', async () => {
    const places = share()
    const first = await ask(places, 4)
    for (let turn = 0; turn < 2; turn++) {
      await vi.advanceTimersByTimeAsync(100)
      places.leave()
    }
    await vi.advanceTimersByTimeAsync(0)
    expect(first.in()).toBe(4)
    // One is done each 100 ms, so the fifth in the queue would wait for half a second.
    const more = await ask(places, 20)
    expect([more.waiting(), more.shed()]).toEqual([5, 15])
  })

  test('takes the usual time of a read on the primary as the pace before anybody has left', async () => {
    const places = share({ usual: () => 50 })
    const reads = await ask(places, 100)
    expect([reads.in(), reads.waiting(), reads.shed()]).toEqual([2, 20, 78])
  })

  test('refuses everybody at once when nothing has become free for long', async () => {
    const places = share()
    await ask(places, 2)
    await vi.advanceTimersByTimeAsync(501)
    const late = await ask(places, 3)
    expect(late.shed()).toBe(3)
  })

  test('forgets who has given up', async () => {
    const places = share()
    await ask(places, 2)
    const controller = new AbortController()
    await ask(places, 2, controller.signal)
    controller.abort()
    expect(places.waiting).toBe(0)
    places.leave()
    places.leave()
    expect(places.used).toBe(0)
  })
})
