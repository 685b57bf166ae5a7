import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  createRateLimiter,
  fixedWindow,
  gcra,
  quota,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from '../../src/index.ts'
import { Leases } from '../../src/leases.ts'
import { MemoryStore } from '../../src/memory-store.ts'
import { MODE, type Outcome, Shape } from '../../src/operation.ts'
import type { Asked } from '../../src/redis-batch.ts'
import { Shapes } from '../../src/shapes.ts'
import { LeaseModel } from '../model/lease-model.ts'
import { seeded } from '../model/scenario.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-10T12:00:00Z') })
})
afterEach(() => {
  vi.useRealTimers()
})

const POLICIES = {
  gcra: gcra({ limit: 400, per: '1s', burst: 600 }),
  bucket: tokenBucket({ capacity: 300, refill: 500, per: '1s' }),
  interval: tokenBucket({ capacity: 400, refill: 200, per: 300, style: 'interval' }),
  fixed: fixedWindow({ limit: 300, per: 400 }),
  sliding: slidingWindow({ limit: 300, per: 500 }),
  log: slidingLog({ limit: 300, per: 500 }),
  hourly: quota({ limit: 3_000, period: 'hour' }),
}
const MAX_SHARE = 0.2

/** A server that decides like Redis, on a clock of its own, behind connections that are late and lossy. */
class Server {
  readonly store: MemoryStore
  readonly #random: () => number
  readonly #speed: number
  lossy = false

  constructor(random: () => number) {
    this.#random = random
    this.#speed = 1 + (random() - 0.5) / 1_000
    this.store = new MemoryStore({ max: 1_000, now: () => this.now })
  }

  get now(): number {
    return Math.floor(Date.UTC(2026, 2, 10, 12, 59, 58) * 1_000 + performance.now() * 1_000 * this.#speed)
  }

  /** A connection: what is sent arrives in its order. */
  connect() {
    let arrival = 0
    let answer = 0
    return {
      submit: ({ shape, subject, settle, fail }: Asked) => {
        const asked = performance.now()
        arrival = Math.max(arrival, asked + this.#random() * 20)
        const fate = this.lossy ? this.#random() : 1
        setTimeout(() => {
          if (fate < 0.02) {
            fail(new Error('never arrived') as never)
            return
          }
          const outcome = { ...this.store.run(shape, subject), asked: asked * 1_000 }
          answer = Math.max(answer, performance.now() + this.#random() * 20)
          setTimeout(() => {
            if (fate < 0.04) fail(new Error('no answer') as never)
            else settle(outcome)
          }, answer - performance.now())
        }, arrival - asked)
      },
    }
  }
}

class Node {
  readonly leases: Leases
  readonly #connection: ReturnType<Server['connect']>
  alive = true

  constructor(server: Server, share: () => number, falsify: Falsify) {
    this.#connection = server.connect()
    this.leases = new Leases({
      maxShare: MAX_SHARE,
      maxAge: 100,
      store: { submit: (asked) => this.#connection.submit(falsify(asked)) },
      share,
      onReturn: () => {},
    })
  }

  check(subject: string, shape: Shape, admit: (outcome: Outcome, leased: boolean) => void): void {
    const leased = this.leases.spend(subject, shape)
    if (leased) {
      admit(leased, true)
      return
    }
    const settle = (outcome: Outcome) => {
      if (outcome.granted && this.alive) admit(outcome, false)
    }
    this.#connection.submit({ shape, subject, settle, fail: () => {} })
    this.leases.want(subject, shape)
  }
}

function uncharged({ slots }: Shape): Shape {
  return new Shape(MODE.peek, slots)
}

function whole({ slots }: Shape): Shape {
  return new Shape(
    MODE.refund,
    slots.map((slot) => ({ ...slot, cost: slot.mark?.cost ?? slot.cost })),
  )
}

/** What a lease's way to the server makes of what it asks for and of the answer. */
type Falsify = (asked: Asked) => Asked

interface Play {
  readonly harm?: boolean
  readonly falsify?: Falsify
  readonly names?: readonly (keyof typeof POLICIES)[]
}

const ALL = Object.keys(POLICIES) as (keyof typeof POLICIES)[]

/** Three nodes that ask for a while; what they were promised is judged by the model. */
async function play(seeding: number, { harm = false, falsify = (asked) => asked, names = ALL }: Play) {
  const random = seeded(seeding)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const server = new Server(random)
  server.lossy = harm
  let count = 3
  const share = () => 1 / count
  const nodes = Array.from({ length: 3 }, () => new Node(server, share, falsify))
  const shapes = new Shapes(POLICIES)
  const model = new LeaseModel(POLICIES, MAX_SHARE)
  let leasedUnits = 0
  for (let step = 0; step < 4_000; step++) {
    const policy = pick(names)
    const node = pick(nodes)
    if (!node.alive) continue
    const cost = pick([1, 1, 1, 2, 0.5])
    const shape = shapes.of(MODE.check, { policies: [policy], cost })
    node.check(policy, shape, (outcome, leased) => {
      if (leased) leasedUnits += cost
      // A leased unit is admitted now, whatever time the node believes it is.
      model.admit(policy, leased ? server.now : outcome.now, cost, outcome.slots[0]?.b ?? 0)
    })
    if (random() < 0.1) vi.advanceTimersByTime(random() < 0.02 ? 150 : random() * 4)
    if (random() < 0.001) count = pick([3, 4, 8])
    if (random() < 0.002) node.leases.revoke(policy)
    if (harm && random() < 0.0005 && nodes.filter(({ alive }) => alive).length > 1) node.alive = false
  }
  const closing = nodes.filter(({ alive }) => alive).map(({ leases }) => leases.close())
  await vi.advanceTimersByTimeAsync(100)
  await Promise.all(closing)
  const charged = server.store.run(shapes.of(MODE.peek, { policies: ['hourly'] }), 'hourly').slots[0]
  return { broken: model.broken, leasedUnits, charged, admitted: model.inPeriod('hourly', charged?.b ?? 0) }
}

describe('leases', () => {
  it.each([
    { title: 'live and hear every answer', harm: false },
    { title: 'die and lose answers', harm: true },
  ])(
    `admit no more than they say, from nodes that $title (seed ${seed})`,
    async ({ harm }) => {
      const { broken, leasedUnits, charged, admitted } = await play(seed, { harm })
      expect(broken).toEqual([])
      expect(leasedUnits).toBeGreaterThan(100)
      // What was not spent has been given back: this hour's count is what was admitted in it.
      if (!harm) expect(charged?.a).toBe(admitted)
    },
    60_000,
  )

  // Each broken promise of a lease has to be seen by the test above, or it proves nothing.
  it.each<Required<Pick<Play, 'falsify'>> & { title: string }>([
    {
      title: 'are not charged',
      falsify: (asked) =>
        asked.shape.mode === MODE.check ? { ...asked, shape: uncharged(asked.shape) } : asked,
    },
    {
      title: 'are given back after they were spent',
      falsify: (asked) =>
        asked.shape.mode === MODE.refund ? { ...asked, shape: whole(asked.shape) } : asked,
    },
    {
      title: 'are spent after the end of their window',
      falsify: ({ settle, ...asked }) => ({
        ...asked,
        settle: (outcome) => settle({ ...outcome, asked: outcome.asked + 400_000 }),
      }),
    },
  ])(
    'are caught when they $title',
    async ({ falsify }) => {
      // The same nodes in every run: whether one of them gets so far as to break its word is a matter of luck.
      const broken: string[] = []
      for (let round = 1; broken.length === 0 && round <= 20; round++) {
        broken.push(...(await play(round, { falsify, names: ['gcra', 'fixed'] })).broken)
      }
      expect(broken).not.toEqual([])
    },
    60_000,
  )

  /** One process that asks for one subject, whose server answers at once. */
  function alone(share: () => number, policy = fixedWindow({ limit: 1_000, per: '1h' })) {
    const store = new MemoryStore({ max: 10, now: () => performance.now() * 1_000 })
    const sent: Shape[] = []
    const leases = new Leases({
      maxShare: 0.1,
      maxAge: 1_000,
      share,
      onReturn: () => {},
      store: {
        submit({ shape, subject, settle }) {
          sent.push(shape)
          settle({ ...store.run(shape, subject), asked: performance.now() * 1_000 })
        },
      },
    })
    const shapes = new Shapes({ api: policy })
    const shape = shapes.of(MODE.check, undefined)
    const check = () => {
      if (leases.spend('hot', shape)) return 'lease'
      leases.want('hot', shape)
      return 'redis'
    }
    const times = (calls: number) => Array.from({ length: calls }, check)
    /** What was charged and given back since the last question, in units. */
    const moved = () =>
      sent
        .splice(0)
        .map(({ mode, slots }) => ((slots[0]?.cost ?? 0) / 1_000) * (mode === MODE.check ? 1 : -1))
    return { leases, shapes, store, check, times, moved }
  }

  it('are taken by hot subjects alone, and given back when they are not used up', async () => {
    const { leases, check, times, moved } = alone(() => 1)
    expect(times(16).filter((source) => source === 'lease')).toHaveLength(8)
    expect(moved()).toEqual([8])
    // Used up: the next one is twice as large.
    check()
    check()
    expect(moved()).toEqual([16])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(moved()).toEqual([-15])
    expect(check()).toBe('redis')
    await leases.close()
  })

  it.each([
    { nodes: 1, most: 100, title: 'alone' },
    { nodes: 4, most: 25, title: 'one of four' },
    { nodes: 13, most: 7, title: 'one of thirteen' },
  ])("are never larger than a process' part of `maxShare`: $most of 1000 $title", async ({ nodes, most }) => {
    const { leases, times, moved } = alone(() => 1 / nodes)
    times(700)
    const sizes = moved()
    expect(Math.max(...sizes)).toBe(most)
    expect(sizes.every((size, index) => size === Math.min(most, 8 * 2 ** index))).toBe(true)
    await leases.close()
  })

  it('are not asked for while the part is not known, or smaller than one cost', async () => {
    for (const part of [0, 1 / 101]) {
      const { leases, times, moved } = alone(() => part)
      expect(times(50)).not.toContain('lease')
      expect(moved()).toEqual([])
      await leases.close()
    }
  })

  it('are given back, not spent, when there are more processes than when they were taken', async () => {
    let nodes = 1
    const { leases, check, times, moved } = alone(() => 1 / nodes)
    times(10)
    expect(moved()).toEqual([8])
    nodes = 2
    expect(check()).toBe('redis')
    expect(moved()).toEqual([-6, 8])
    await leases.close()
  })

  it('are given back when the server has a smaller limit for the subject, since the part of that is smaller', async () => {
    const { leases, shapes, store, times, moved } = alone(() => 1)
    store.run(shapes.resize('api', 50, 3_600_000_000), 'hot')
    expect(times(20)).not.toContain('lease')
    expect(moved().slice(0, 2)).toEqual([8, -8])
    await leases.close()
  })

  it('are spent until `maxAge` has passed since they were asked for, and not a moment longer', async () => {
    const { leases, check, times } = alone(() => 1, gcra({ limit: 100_000, per: '1h' }))
    times(9)
    vi.advanceTimersByTime(999)
    expect(check()).toBe('lease')
    vi.setSystemTime(Date.now() + 1)
    vi.advanceTimersByTime(1)
    expect(check()).toBe('redis')
    await leases.close()
  })

  it('are refused for policies declared exact, and with settings that make no sense', () => {
    const policies = { api: gcra({ limit: 1, per: '1s', exact: true }) }
    expect(() => createRateLimiter({ policies, lease: true })).toThrow(/policies.api is/)
    expect(() => createRateLimiter({ policies, lease: false })).not.toThrow()
    const loose = { api: gcra({ limit: 1, per: '1s' }) }
    expect(() => createRateLimiter({ policies: loose, lease: { maxShare: 2 } })).toThrow(/lease.maxShare/)
    expect(() => createRateLimiter({ policies: loose, lease: { share: 1 } as never })).toThrow(
      /unknown option/,
    )
  })
})
