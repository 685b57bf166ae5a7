import { DEBT, type Kernel } from './kernel.ts'

// Calendar windows, whose boundaries the caller computes because Lua knows no time zones: `windows` holds
// the starts of consecutive windows around now. Debt is carried into the next windows.
//
// State: a = milli-units in use, b = start of their window.
export const quotaKernel: Kernel = {
  code: 3,
  arity: 2,
  paced: true,
  create: () => ({ a: 0, b: 0, c: 0 }),
  refresh(state, now, { cap }, windows) {
    const current = indexOfWindow(windows, now)
    const start = windows[current] ?? 0
    if (state.b < start) {
      const from = windows.indexOf(state.b)
      state.a = from < 0 ? 0 : Math.max(0, state.a - (current - from) * cap)
    }
    state.b = start
  },
  wait(state, now, cost, { cap }, windows) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost - cap
    return excess <= 0 ? 0 : boundaryAfter(state.b, Math.ceil(excess / cap), windows) - now
  },
  charge(state, _now, cost, { cap }) {
    state.a = Math.min(state.a + cost, Math.max(state.a, DEBT * cap))
  },
  refund(state, _now, cost, _limit, mark) {
    if (mark && mark.at < state.b) return
    state.a = Math.max(0, state.a - cost)
  },
  timeToFull(state, now, { cap }, windows) {
    return state.a === 0 ? 0 : boundaryAfter(state.b, Math.ceil(state.a / cap), windows) - now
  },
  used: (state) => state.a,
  limitOf: ({ cap }) => cap,
}

/** Index of the window that holds `now`, or -1 when the boundaries do not reach that far. */
export function indexOfWindow(windows: readonly number[], now: number): number {
  for (let index = 0; index + 1 < windows.length; index++) {
    if ((windows[index] ?? 0) <= now && now < (windows[index + 1] ?? 0)) return index
  }
  return -1
}

// Beyond the boundaries at hand the last one is the answer: the caller asks again then.
function boundaryAfter(start: number, steps: number, windows: readonly number[]): number {
  const index = Math.min(windows.indexOf(start) + steps, windows.length - 1)
  return windows[index] ?? start
}
