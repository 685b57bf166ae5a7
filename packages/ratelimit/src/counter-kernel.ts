import { DEBT, type Kernel, type Parameters } from './kernel.ts'

// The sliding window counter: the previous window counts in proportion to how much of it the sliding window
// still covers. An estimate, exact when the previous window's traffic was uniform.
//
// Parameters: x = window. State: a = start of the current window, b = its count, c = the previous count.
export const counterKernel: Kernel = {
  code: 4,
  arity: 3,
  paced: false,
  refresh(state, now, { x }) {
    const start = Math.floor(now / x) * x
    const ahead = state.a > start
    if (state.a < start) {
      state.c = state.a === start - x ? state.b : 0
      state.b = 0
    }
    state.a = start
    return ahead
  },
  wait(state, now, cost, limit) {
    const { cap, x } = limit
    if (cost > cap) return Number.POSITIVE_INFINITY
    if (estimate(state.c, now - state.a, x) + state.b + cost <= cap) return 0
    if (state.b + cost <= cap) return drained(state.c, state.b + cost, limit, now - state.a)
    return state.a + x - now + drained(state.b, cost, limit, 0)
  },
  charge(state, _now, cost, { cap }) {
    state.b = Math.min(state.b + cost, Math.max(state.b, DEBT * cap))
  },
  refund(state, _now, cost, { x }, mark) {
    if (mark && mark.at < state.a) {
      if (mark.at >= state.a - x) state.c = Math.max(0, state.c - cost)
      return
    }
    const fromPrevious = mark ? 0 : Math.max(0, cost - state.b)
    state.b = Math.max(0, state.b - cost)
    state.c = Math.max(0, state.c - fromPrevious)
  },
  timeToFull(state, now, { x }) {
    if (state.b > 0) return state.a + 2 * x - now
    return state.c > 0 ? state.a + x - now : 0
  },
  ends: () => Number.POSITIVE_INFINITY,
  used: (state, now, { x }) => Math.ceil(estimate(state.c, now - state.a, x) + state.b),
  limitOf: ({ cap }) => cap,
}

function estimate(previous: number, elapsed: number, window: number): number {
  return (previous * (window - elapsed)) / window
}

// Microseconds from `elapsed` until the share of `previous` leaves room for `rest` (which fits the capacity).
function drained(previous: number, rest: number, { cap, x }: Parameters, elapsed: number): number {
  let at = Math.max(elapsed, Math.min(x, Math.ceil(x - ((cap - rest) * x) / previous)))
  // The division above is rounded; the answer is the first microsecond that really fits.
  while (at > elapsed && estimate(previous, at - 1, x) + rest <= cap) at--
  while (at < x && estimate(previous, at, x) + rest > cap) at++
  return at - elapsed
}
