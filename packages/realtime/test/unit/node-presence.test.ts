import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NodePresence } from '../../src/node-presence.ts'
import type { Lease, PresenceChange, PresenceStore } from '../../src/presence-store.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Leases by the fake clock; writes down what it is asked. */
function recordingStore() {
  const leases = new Map<string, number>()
  const changes: (PresenceChange & { readonly node: string })[] = []
  const known = new Set<string>()
  const buried: { readonly node: string; readonly at: number }[] = []
  const store: PresenceStore = {
    async change(_room, _spec, node, more) {
      changes.push(...more.map((change) => ({ ...change, node })))
      for (const { user } of more) known.add(`${node} ${user}`)
    },
    knows: async (_room, node, user) => known.has(`${node} ${user}`),
    roster: async () => ({ epoch: 'e', top: 0, members: [] }),
    async renew(node, length): Promise<Lease> {
      const ends = leases.get(node)
      const now = Date.now()
      const state = ends === undefined ? 'new' : ends > now ? 'renewed' : 'expired'
      if (state !== 'expired') leases.set(node, now + length)
      return { state, expired: [...leases].filter(([, end]) => end <= now).map(([name]) => name) }
    },
    async bury(node) {
      leases.delete(node)
      buried.push({ node, at: Date.now() })
    },
  }
  return { store, leases, changes, known, buried }
}

const times = { lease: 6_000, grace: 10_000, checkInterval: 10_000, instance: 'test' }

describe('a node and its lease', () => {
  it('cleans up after a dead node at most four thirds of a lease later', async () => {
    const { store, leases, buried } = recordingStore()
    const node = new NodePresence({ node: 'a', store, ...times })
    await node.sit('@r', 'ann', '1').stored
    await vi.advanceTimersByTimeAsync(6_000)
    // It lived until this moment.
    const died = Date.now()
    leases.set('b.0', died + times.lease)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(buried.map((burial) => burial.node)).toEqual(['b.0'])
    expect((buried[0]?.at ?? Number.POSITIVE_INFINITY) - died).toBeLessThanOrEqual(8_000)
    await node.close()
  })

  it('judges nobody until its own lease has been good for a whole length', async () => {
    const { store, leases, buried } = recordingStore()
    leases.set('b.0', 0)
    const node = new NodePresence({ node: 'a', store, ...times })
    await node.roster('@r')
    await vi.advanceTimersByTimeAsync(5_900)
    expect(buried).toEqual([])
    await vi.advanceTimersByTimeAsync(2_100)
    expect(buried.map((burial) => burial.node)).toEqual(['b.0'])
    await node.close()
  })

  it('takes a new name and says everything again when its lease ran out', async () => {
    const { store, leases, changes, buried } = recordingStore()
    const node = new NodePresence({ node: 'a', store, ...times })
    await node.sit('@r', 'ann', '1').stored
    leases.set('a.0', 0)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(changes.at(-1)).toEqual({ kind: 'assert', user: 'ann', data: '1', node: 'a.1' })
    expect(buried.map((burial) => burial.node)).toEqual(['a.0'])
    await node.close()
    expect(buried.map((burial) => burial.node)).toEqual(['a.0', 'a.1'])
  })
})

describe('a user with several seats', () => {
  it('is told once when the first is taken and once when the last is given up', async () => {
    const { store, changes } = recordingStore()
    const node = new NodePresence({ node: 'a', store, ...times })
    const seats = [node.sit('@r', 'ann', '1'), node.sit('@r', 'ann', '1')]
    for (const seat of seats) await seat.stored
    for (const seat of seats) seat.leave(false)
    await vi.advanceTimersByTimeAsync(0)
    expect(changes.map(({ kind }) => kind)).toEqual(['enter', 'leave'])
    await node.close()
  })

  it('stays through a break that is shorter than the grace, and not a longer one', async () => {
    const { store, changes } = recordingStore()
    const node = new NodePresence({ node: 'a', store, ...times })
    const first = node.sit('@r', 'ann', '1')
    await first.stored
    first.leave(true)
    await vi.advanceTimersByTimeAsync(9_000)
    const second = node.sit('@r', 'ann', '1')
    await vi.advanceTimersByTimeAsync(9_000)
    second.leave(true)
    expect(changes.map(({ kind }) => kind)).toEqual(['enter'])
    await vi.advanceTimersByTimeAsync(10_000)
    expect(changes.map(({ kind }) => kind)).toEqual(['enter', 'leave'])
    await node.close()
  })

  it('is stored by and by when the store is away', async () => {
    const { store, changes } = recordingStore()
    let away = true
    const flaky: PresenceStore = {
      ...store,
      async change(...args) {
        if (away) throw new Error('away')
        await store.change(...args)
      },
    }
    const node = new NodePresence({ node: 'a', store: flaky, ...times })
    const seat = node.sit('@r', 'ann', '1')
    await vi.advanceTimersByTimeAsync(5_000)
    void seat.update('2')
    away = false
    await vi.advanceTimersByTimeAsync(5_000)
    await seat.stored
    expect(changes).toEqual([{ kind: 'enter', user: 'ann', data: '2', node: 'a.0' }])
    await node.close()
  })
})

describe('a store that forgets a room', () => {
  it('is told again who is there, although somebody has been told to it since', async () => {
    const { store, changes, known } = recordingStore()
    const node = new NodePresence({ node: 'a', store, ...times })
    for (const user of ['ann', 'ben']) await node.sit('@r', user, '1').stored
    known.clear()
    await node.sit('@r', 'ann', '1').update('2')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(changes.slice(3).map(({ kind, user }) => `${kind} ${user}`)).toEqual(['assert ben', 'assert ann'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(changes).toHaveLength(5)
    await node.close()
  })
})
