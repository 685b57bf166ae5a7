import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Nodes } from '../../src/redis-nodes.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A Redis that answers heartbeats as it is told. */
function heartbeats() {
  const answer: { count: number; isNew: number; fails: boolean } = { count: 1, isNew: 1, fails: false }
  const evalsha = async () => {
    if (answer.fails) throw new Error('gone')
    const { count, isNew } = answer
    answer.isNew = 0
    return [count, isNew]
  }
  const nodes = new Nodes({
    client: { evalsha, eval: evalsha },
    key: 'nodes',
    id: 'a',
    interval: 1_000,
    timeout: 250,
  })
  return { answer, nodes, share: () => nodes.share(performance.now()) }
}

describe("a node's part of what all may hold", () => {
  it('is none until every count that stands has this node in it, then an equal one', async () => {
    const { answer, nodes, share } = heartbeats()
    expect(share()).toBe(0)
    nodes.start()
    await vi.advanceTimersByTimeAsync(1_999)
    expect(share()).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(share()).toBe(1)
    answer.count = 4
    await vi.advanceTimersByTimeAsync(1_000)
    expect(share()).toBe(0.25)
    await nodes.stop()
  })

  it('is none while the last count is old, and again when others may have counted without it', async () => {
    const { answer, nodes, share } = heartbeats()
    nodes.start()
    await vi.advanceTimersByTimeAsync(3_000)
    expect(share()).toBe(1)
    answer.fails = true
    await vi.advanceTimersByTimeAsync(2_000)
    expect(share()).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(share()).toBe(0)
    // Redis has lost its data: this node is new there, and so are all others.
    Object.assign(answer, { fails: false, isNew: 1, count: 1 })
    await vi.advanceTimersByTimeAsync(1_999)
    expect(share()).toBe(0)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(share()).toBe(1)
    await nodes.stop()
  })
})
