import { DEBT, type Kernel } from './kernel.ts'

// Capacity that comes back in steps: `x` milli-units every `y` microseconds, counted from the first charge.
// With `x = cap` it is the fixed window; with less, a token bucket refilled in intervals.
//
// State: a = milli-units in use, b = start of the current interval, c = the most that any size charged in it gives
// back at its end: what was used within a larger size is not a debt of a smaller one.
export const stepKernel: Kernel = {
  code: 2,
  arity: 3,
  paced: true,
  refresh(state, now, { x, y }) {
    const ahead = state.b > now
    if (ahead) state.b = now
    const steps = Math.floor((now - state.b) / y)
    if (steps > 0) {
      state.a = Math.max(0, state.a - Math.max(state.c, x) - (steps - 1) * x)
      state.b += steps * y
      state.c = 0
    }
    if (state.a === 0) {
      state.b = now
      state.c = 0
    }
    return ahead
  },
  wait(state, now, cost, { cap, x, y }) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost - cap
    return excess <= 0 ? 0 : state.b + stepsFor(excess, state.c, x) * y - now
  },
  charge(state, _now, cost, { cap, x }) {
    state.a = Math.min(state.a + cost, Math.max(state.a, DEBT * cap))
    state.c = Math.max(state.c, x)
  },
  refund(state, _now, cost, _limit, mark) {
    // What was charged in an earlier interval came back with that interval's end.
    if (mark && mark.at < state.b) return
    state.a = Math.max(0, state.a - cost)
  },
  timeToFull(state, now, { x, y }) {
    return state.a === 0 ? 0 : state.b + stepsFor(state.a, state.c, x) * y - now
  },
  ends: (state, { y }) => state.b + y,
  used: (state) => state.a,
  limitOf: ({ x }) => x,
}

/** Ends of intervals until so much is back, when the first brings `first` if that is more than the others bring. */
export function stepsFor(amount: number, first: number, each: number): number {
  return 1 + Math.ceil(Math.max(0, amount - Math.max(first, each)) / each)
}
