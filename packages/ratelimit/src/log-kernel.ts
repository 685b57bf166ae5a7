import { DEBT, type Kernel, type LogEntry, type State } from './kernel.ts'

// The sliding window log: every charge is remembered until it is one window old. Exact, at the price of one
// entry per charge.
//
// Parameters: x = window. State: a = milli-units in use, b = time of the newest entry.
export const logKernel: Kernel = {
  code: 5,
  arity: 3,
  paced: false,
  refresh(state, now, { x }) {
    const ahead = state.b - now
    if (ahead > 0) {
      state.entries = entriesOf(state).map(({ at, cost }) => ({ at: at - ahead, cost }))
      state.b = now
    }
    const entries = entriesOf(state)
    let expired = 0
    while (expired < entries.length && (entries[expired]?.at ?? 0) <= now - x) {
      state.a -= entries[expired]?.cost ?? 0
      expired++
    }
    if (expired > 0) entries.splice(0, expired)
    return ahead > 0 || expired > 0
  },
  wait(state, now, cost, { cap, x }) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    let excess = state.a + cost - cap
    if (excess <= 0) return 0
    for (const entry of entriesOf(state)) {
      excess -= entry.cost
      if (excess <= 0) return entry.at + x - now
    }
    return x
  },
  charge(state, now, cost, { cap }) {
    const added = Math.min(cost, Math.max(0, DEBT * cap - state.a))
    if (added <= 0) return
    entriesOf(state).push({ at: now, cost: added })
    state.a += added
    state.b = now
  },
  refund(state, _now, cost, _limit, mark) {
    const entries = entriesOf(state)
    if (mark) {
      const index = entries.findIndex((entry) => entry.at === mark.at && entry.cost === mark.cost)
      if (index < 0) return
      const back = Math.min(cost, mark.cost)
      entries.splice(index, 1, ...(back < mark.cost ? [{ at: mark.at, cost: mark.cost - back }] : []))
      state.a -= back
      return
    }
    let left = cost
    while (left > 0) {
      const newest = entries.pop()
      if (!newest) return
      const back = Math.min(left, newest.cost)
      if (back < newest.cost) entries.push({ at: newest.at, cost: newest.cost - back })
      state.a -= back
      left -= back
    }
  },
  timeToFull(state, now, { x }) {
    return state.a === 0 ? 0 : state.b + x - now
  },
  ends: () => Number.POSITIVE_INFINITY,
  used: (state) => state.a,
  limitOf: ({ cap }) => cap,
}

function entriesOf(state: State): LogEntry[] {
  state.entries ??= []
  return state.entries
}
