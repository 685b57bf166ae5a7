import { DEBT, type Kernel } from './kernel.ts'

// Capacity that comes back in steps: `x` milli-units every `y` microseconds, counted from the first charge.
// With `x = cap` it is the fixed window; with less, a token bucket refilled in intervals.
//
// State: a = milli-units in use, b = start of the current interval.
export const stepKernel: Kernel = {
  code: 2,
  arity: 2,
  paced: true,
  refresh(state, now, { x, y }) {
    const ahead = state.b > now
    if (ahead) state.b = now
    const steps = Math.floor((now - state.b) / y)
    if (steps > 0) {
      state.a = Math.max(0, state.a - steps * x)
      state.b += steps * y
    }
    if (state.a === 0) state.b = now
    return ahead
  },
  wait(state, now, cost, { cap, x, y }) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost - cap
    return excess <= 0 ? 0 : state.b + Math.ceil(excess / x) * y - now
  },
  charge(state, _now, cost, { cap }) {
    state.a = Math.min(state.a + cost, Math.max(state.a, DEBT * cap))
  },
  refund(state, _now, cost, _limit, mark) {
    // What was charged in an earlier interval came back with that interval's end.
    if (mark && mark.at < state.b) return
    state.a = Math.max(0, state.a - cost)
  },
  timeToFull(state, now, { x, y }) {
    return state.a === 0 ? 0 : state.b + Math.ceil(state.a / x) * y - now
  },
  ends: (state, { y }) => state.b + y,
  used: (state) => state.a,
  limitOf: ({ x }) => x,
}
