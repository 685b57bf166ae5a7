import type { Kernel } from './kernel.ts'
import { stepsFor } from './step-kernel.ts'

// Calendar windows, whose boundaries the caller computes because Lua knows no time zones: `windows` holds
// the starts of consecutive windows around now, three of them before and three after it. Debt is carried into
// the next windows, so it is bounded by as many.
//
// State: a = milli-units in use, b = start of their window, c = the largest capacity that was charged in it.
const DEBT = 3
const CURRENT = 3

export const quotaKernel: Kernel = {
  code: 3,
  arity: 3,
  paced: true,
  refresh(state, _now, { cap }, windows) {
    const start = windows[CURRENT] ?? 0
    const ahead = state.b > start
    if (state.b < start) {
      const from = windows.indexOf(state.b)
      const back = Math.max(state.c, cap) + (CURRENT - from - 1) * cap
      state.a = from < 0 ? 0 : Math.max(0, state.a - back)
      state.c = 0
    }
    state.b = start
    if (state.a === 0) state.c = 0
    state.a = Math.min(state.a, most(state.c, cap))
    return ahead
  },
  wait(state, now, cost, { cap }, windows) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost - cap
    return excess <= 0 ? 0 : boundaryAfter(state.b, stepsFor(excess, state.c, cap), windows) - now
  },
  charge(state, _now, cost, { cap }) {
    state.c = Math.max(state.c, cap)
    state.a = Math.min(state.a + cost, most(state.c, cap))
  },
  refund(state, _now, cost, _limit, mark) {
    if (mark && mark.at < state.b) return
    state.a = Math.max(0, state.a - cost)
  },
  timeToFull(state, now, { cap }, windows) {
    return state.a === 0 ? 0 : boundaryAfter(state.b, stepsFor(state.a, state.c, cap), windows) - now
  },
  ends: (state, _limit, windows) => boundaryAfter(state.b, 1, windows),
  used: (state) => state.a,
  limitOf: ({ cap }) => cap,
}

// What comes back within the windows that are known.
function most(first: number, cap: number): number {
  return Math.max(first, cap) + (DEBT - 1) * cap
}

function boundaryAfter(start: number, steps: number, windows: readonly number[]): number {
  const index = Math.min(windows.indexOf(start) + steps, windows.length - 1)
  return windows[index] ?? start
}
