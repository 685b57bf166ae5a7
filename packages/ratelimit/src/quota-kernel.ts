import type { Kernel } from './kernel.ts'

// Calendar windows, whose boundaries the caller computes because Lua knows no time zones: `windows` holds
// the starts of consecutive windows around now, three of them before and three after it. Debt is carried into
// the next windows, so it is bounded by as many.
//
// State: a = milli-units in use, b = start of their window.
const DEBT = 3
const CURRENT = 3

export const quotaKernel: Kernel = {
  code: 3,
  arity: 2,
  paced: true,
  refresh(state, _now, { cap }, windows) {
    const start = windows[CURRENT] ?? 0
    const ahead = state.b > start
    if (state.b < start) {
      const from = windows.indexOf(state.b)
      state.a = from < 0 ? 0 : Math.max(0, state.a - (CURRENT - from) * cap)
    }
    state.b = start
    state.a = Math.min(state.a, DEBT * cap)
    return ahead
  },
  wait(state, now, cost, { cap }, windows) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost - cap
    return excess <= 0 ? 0 : boundaryAfter(state.b, Math.ceil(excess / cap), windows) - now
  },
  charge(state, _now, cost, { cap }) {
    state.a = Math.min(state.a + cost, DEBT * cap)
  },
  refund(state, _now, cost, _limit, mark) {
    if (mark && mark.at < state.b) return
    state.a = Math.max(0, state.a - cost)
  },
  timeToFull(state, now, { cap }, windows) {
    return state.a === 0 ? 0 : boundaryAfter(state.b, Math.ceil(state.a / cap), windows) - now
  },
  ends: (state, _limit, windows) => boundaryAfter(state.b, 1, windows),
  used: (state) => state.a,
  limitOf: ({ cap }) => cap,
}

function boundaryAfter(start: number, steps: number, windows: readonly number[]): number {
  const index = Math.min(windows.indexOf(start) + steps, windows.length - 1)
  return windows[index] ?? start
}
