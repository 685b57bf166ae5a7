import { type ChargeMark, DEBT, type Kernel, type Parameters } from './kernel.ts'

// The fluid model behind GCRA and the smooth token bucket: a charge of one milli-unit adds `y` drops, `x`
// drops drain per tick of `z` microseconds, and the level may not pass `cap * y`. With the rate reduced to
// lowest terms every step is exact in whole numbers, so no rounding error ever adds up.
//
// State: a = level in drops, b = when it was measured, c = drops per milli-unit at that time.
export const fluidKernel: Kernel = {
  code: 1,
  arity: 1,
  paced: true,
  refresh(state, now, { x, y, z }) {
    const ahead = state.b > now
    if (state.c !== y) {
      // The limit changed: what is in use stays in use, counted in the new drops.
      if (state.c > 0) state.a = Math.ceil((state.a * y) / state.c)
      state.c = y
    }
    const ticks = Math.floor(now / z) - Math.floor(state.b / z)
    if (ticks > 0) state.a = Math.max(0, state.a - ticks * x)
    state.b = now
    return ahead
  },
  wait(state, now, cost, { cap, x, y, z }) {
    if (cost > cap) return Number.POSITIVE_INFINITY
    const excess = state.a + cost * y - cap * y
    return excess <= 0 ? 0 : (Math.floor(now / z) + Math.ceil(excess / x)) * z - now
  },
  charge(state, _now, cost, { cap, y }) {
    state.a = Math.min(state.a + cost * y, Math.max(state.a, DEBT * cap * y))
  },
  refund(state, now, cost, { x, y, z }, mark) {
    state.a = Math.max(0, state.a - Math.min(cost * y, mark ? held(mark, now, x, y, z) : cost * y))
  },
  timeToFull(state, now, { x, z }) {
    return state.a === 0 ? 0 : (Math.floor(now / z) + Math.ceil(state.a / x)) * z - now
  },
  ends: () => Number.POSITIVE_INFINITY,
  used: (state, _now, { y }) => Math.ceil(state.a / y),
  limitOf: ({ x, y, z }, window) => Math.round((x / y) * Math.ceil(window / z)),
}

// Drops that a charge still holds at the least: the level it left minus all that drained since. Giving back
// more could hand out capacity that had already been refilled.
function held(mark: ChargeMark, now: number, x: number, y: number, z: number): number {
  const drained = Math.max(0, Math.floor(now / z) - Math.floor(mark.at / z)) * x
  const level = mark.c > 0 && mark.c !== y ? Math.floor((mark.a * y) / mark.c) : mark.a
  return Math.max(0, Math.min(mark.cost * y, level - drained))
}

/** Parameters for `rate` milli-units per `window` microseconds with at most `cap` milli-units in use. */
export function fluidParameters(cap: number, rate: number, window: number): Parameters {
  for (let z = 1; ; z *= 10) {
    // Rounding the window up can only slow the drain: a coarser tick never admits more.
    const ticks = Math.ceil(window / z)
    const divisor = gcd(rate, ticks)
    const y = ticks / divisor
    if (cap * y * DEBT <= Number.MAX_SAFE_INTEGER || ticks === 1) return { cap, x: rate / divisor, y, z }
  }
}

function gcd(a: number, b: number): number {
  let [high, low] = [a, b]
  while (low > 0) [high, low] = [low, high % low]
  return high
}
