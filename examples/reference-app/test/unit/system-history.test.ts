import { describe, expect, it } from 'vitest'
import type { NodeStatus, RequestTrace, SystemStatus } from '../../contract/status.ts'
import { effects, NO_HISTORY, withStatus } from '../../web/src/data/system-history.ts'

const trace = (id: string, second: number, status = 200): RequestTrace => ({
  id,
  at: new Date(second * 1_000).toISOString(),
  node: 'node-1',
  route: 'GET /jobs',
  status,
  took: 3,
  cache: 'l1',
  databases: [],
  limited: false,
})

const node = (name: string, part: Partial<NodeStatus> = {}): NodeStatus => ({
  name,
  state: 'ready',
  startedAt: new Date(0).toISOString(),
  sockets: 2,
  rooms: 1,
  memory: 1,
  cache: { l1: 10, l2: 0, load: 0, stale: 0 },
  limiter: { allowed: 10, denied: 0 },
  redis: 'up',
  bucket: 'up',
  databases: [
    { name: 'db-1', role: 'primary', up: true, lagBytes: null, lagMilliseconds: null },
    { name: 'db-2', role: 'replica', up: true, lagBytes: 0, lagMilliseconds: 20 },
  ],
  recent: [],
  ...part,
})

const at = (second: number, ...nodes: NodeStatus[]): SystemStatus => ({
  at: new Date(second * 1_000).toISOString(),
  nodes,
  actions: [],
})

const play = (...statuses: SystemStatus[]) => statuses.reduce(withStatus, NO_HISTORY)

describe('what the page under the hood has seen', () => {
  it('turns totals into rates, also when a node starts to count anew', () => {
    const more = { l1: 25, l2: 3, load: 1, stale: 0 }
    const { samples } = play(
      at(1, node('node-1')),
      at(2, node('node-1', { cache: more })),
      at(
        3,
        node('node-1', {
          startedAt: new Date(2_500).toISOString(),
          cache: { l1: 4, l2: 0, load: 2, stale: 0 },
        }),
      ),
    )
    expect(samples.map(({ cache }) => cache.l1)).toEqual([0, 15, 4])
    expect(samples.map(({ cache }) => cache.load)).toEqual([0, 1, 2])
  })

  it('lights each request once and none of those before it came', () => {
    const first = play(at(1, node('node-1', { recent: [trace('a', 1)] })))
    expect(first.fresh).toEqual([])
    const second = withStatus(first, at(2, node('node-1', { recent: [trace('b', 2), trace('a', 1)] })))
    expect(second.fresh.map(({ id }) => id)).toEqual(['b'])
    const third = withStatus(second, at(3, node('node-1', { recent: [trace('c', 3, 503), trace('b', 2)] })))
    expect(third.fresh.map(({ id }) => id)).toEqual(['c'])
    expect(third).toMatchObject({ seen: 2, failed: 1 })
  })

  it('tells of a restart that was over between two looks', () => {
    const { events } = play(
      at(1, node('node-1')),
      at(2, node('node-1')),
      at(3, node('node-1', { startedAt: new Date(2_500).toISOString() })),
    )
    expect(events.map(({ text }) => text)).toEqual(['node-1 is back and takes requests.'])
  })

  it('keeps a node that no longer answers in the picture, and tells that it went and came back', () => {
    const { nodes, events } = play(
      at(1, node('node-1'), node('node-2')),
      at(2, node('node-1'), node('node-2', { state: 'draining' })),
      at(3, node('node-1')),
      at(4, node('node-1')),
    )
    expect(nodes.map(({ name, state }) => `${name} ${state}`)).toEqual(['node-1 ready', 'node-2 away'])
    expect(events.map(({ tone }) => tone)).toEqual(['bad', 'plain'])
  })

  it('does not call a node away because one answer was late', () => {
    const both = () => [node('node-1'), node('node-2')]
    const { nodes, events } = play(at(1, ...both()), at(2, node('node-1')), at(3, ...both()))
    expect(nodes.map(({ state }) => state)).toEqual(['ready', 'ready'])
    expect(events).toEqual([])
  })

  it('shows a database as up only when every node says so', () => {
    const down = node('node-2').databases.map((database) => ({ ...database, up: database.name === 'db-1' }))
    const { databases, events } = play(
      at(1, node('node-1'), node('node-2')),
      at(2, node('node-1'), node('node-2', { databases: down })),
    )
    expect(databases.map(({ up }) => up)).toEqual([true, false])
    expect(events[0]?.text).toContain('db-2')
  })

  it('says in one sentence per failure what works and what does not', () => {
    const databases = (up: boolean, lagMilliseconds: number, primary = true) =>
      node('node-1').databases.map((database) =>
        database.role === 'primary' ? { ...database, up: primary } : { ...database, up, lagMilliseconds },
      )
    const now = (part: Partial<NodeStatus>) => effects(play(at(1, node('node-1', part))))
    expect(now({})).toEqual([])
    expect(now({ redis: 'none' })).toEqual([])
    for (const [part, thing] of [
      [{ redis: 'down' }, /^Redis is away: you can .*; new sign-ins and live messages wait\.$/],
      [{ bucket: 'down' }, /^The bucket is away: résumés cannot .*; everything else works\.$/],
      [{ databases: databases(false, 0) }, /^db-2 does not answer: everything works/],
      [{ databases: databases(true, 3_000) }, /^db-2 is late: you see your own changes at once/],
      [{ databases: databases(true, 0, false) }, /^The primary database is away: you can search and read/],
      [{ state: 'draining' }, /^node-1 takes no requests/],
    ] as const) {
      expect(now(part)).toEqual([expect.stringMatching(thing)])
    }
  })

  it('keeps a bounded past however long the page stays open', () => {
    let history = NO_HISTORY
    for (let second = 0; second < 1_000; second++) {
      history = withStatus(history, at(second, node('node-1', { redis: second % 2 ? 'up' : 'down' })))
    }
    expect(history.samples.length).toBeLessThanOrEqual(120)
    expect(history.events.length).toBeLessThanOrEqual(12)
  })
})
