import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { pickServer } from '../../src/balancer.ts'
import { Server } from '../../src/server.ts'
import { resolveOptions } from '../../src/settings.ts'

const settings = resolveOptions({ primary: 'postgres://app@primary/app', pool: { max: 2 } })

function server(host: string, zone?: string, weight = 1): Server {
  return new Server({ url: `postgres://app@${host}/app`, weight, zone }, settings, {
    report() {},
    standby() {},
  })
}

/** How often each is picked. */
function picks(servers: readonly Server[], zone?: string, times = 2_000): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let pick = 0; pick < times; pick++) {
    const name = pickServer(servers, zone)?.name ?? ''
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

describe('among replicas', () => {
  test('equal ones share alike', () => {
    const { 'one:5432': one = 0, 'two:5432': two = 0 } = picks([server('one'), server('two')])
    expect(Math.min(one, two)).toBeGreaterThan(700)
  })

  test('one of more weight takes what would be too much for the others', () => {
    const [heavy, light] = [server('heavy', undefined, 4), server('light')]
    const busy = () => ({ abandon() {}, place: -1 })
    // Each has as much under way.
    for (let one = 0; one < 4; one++) for (const each of [heavy, light]) each.begin(busy())
    expect(picks([heavy, light])).toEqual({ 'heavy:5432': 2_000 })
    for (let one = 0; one < 20; one++) heavy.begin(busy())
    expect(picks([heavy, light])['light:5432']).toBeGreaterThan(700)
  })

  test('one that was down gets its share back by and by', () => {
    const [one, two] = [server('one'), server('two')]
    two.warmUp(10_000)
    const share = () => (picks([one, two])['two:5432'] ?? 0) / 2_000
    vi.advanceTimersByTime(1_000)
    expect(share()).toBeLessThan(0.2)
    vi.advanceTimersByTime(4_000)
    const half = share()
    expect(half).toBeGreaterThan(0.1)
    expect(half).toBeLessThan(0.45)
    vi.advanceTimersByTime(5_000)
    expect(share()).toBeGreaterThan(0.4)
  })

  test('those of the own zone are taken while they have a free connection, then the others', () => {
    const [here, there] = [server('here', 'a'), server('there', 'b')]
    expect(picks([here, there], 'a')).toEqual({ 'here:5432': 2_000 })
    const busy = [
      { abandon() {}, place: -1 },
      { abandon() {}, place: -1 },
    ]
    for (const one of busy) here.begin(one)
    expect(picks([here, there], 'a')['there:5432']).toBeGreaterThan(500)
    for (const one of busy) here.finish(one)
    expect(picks([here, there], 'a')).toEqual({ 'here:5432': 2_000 })
    expect(picks([here, there], 'c')['there:5432']).toBeGreaterThan(500)
  })
})
