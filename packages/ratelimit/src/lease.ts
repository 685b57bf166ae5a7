import { type Outcome, type Shape, type Slot, type SlotOutcome, stateOf, windowsOf } from './operation.ts'
import { INTERNALS } from './policy.ts'

/** Units that were charged for a subject in advance. */
export interface Lease {
  /** What was charged: the costs of its slots are the whole lease. */
  readonly shape: Shape
  readonly outcome: Outcome
  readonly share: number
  /** Milliseconds of the monotonic clock. */
  readonly ends: number
  /** Milli-units still to be spent, by slot. */
  readonly left: number[]
}

/** Two machines' clocks differ in speed by less than this. */
const DRIFT = 1.001

/** What a granted charge can be spent as: for `maxAge` milliseconds at most, and not after its window's end. */
export function leaseOf(shape: Shape, outcome: Outcome, share: number, maxAge: number): Lease {
  const asked = outcome.asked / 1_000
  let length = maxAge
  for (const [index, slot] of shape.slots.entries()) {
    const { a, b, c, parameters } = outcome.slots[index] as SlotOutcome
    const { kernel } = slot.policy[INTERNALS]
    const end = kernel.ends({ a, b, c }, parameters, windowsOf(slot, outcome.now))
    length = Math.min(length, (end - outcome.now) / 1_000 / DRIFT)
  }
  return { shape, outcome, share, ends: asked + length, left: shape.slots.map((slot) => slot.cost) }
}

/** Whether what is left is enough for the shape's costs. */
export function covers(lease: Lease, shape: Shape): boolean {
  return shape.slots.every((slot, index) => slot.cost <= (lease.left[index] as number))
}

/** How many times the shape's costs fit this process' part of its limits. */
export function mostOf(shape: Shape, share: number): number {
  let most = Number.POSITIVE_INFINITY
  for (const slot of shape.slots) {
    if (slot.cost > 0) most = Math.min(most, Math.floor(roomOf(slot, slot.parameters, share) / slot.cost))
  }
  return most === Number.POSITIVE_INFINITY ? 0 : most
}

function roomOf(slot: Slot, parameters: Slot['parameters'], share: number): number {
  const { policy } = slot
  const limit = policy[INTERNALS].kernel.limitOf(parameters, policy.window * 1_000)
  return Math.floor(Math.min(limit, parameters.cap) * share)
}

/** Whether no more was charged than the share of the limits as they were found, and nothing was left out. */
export function isWithin({ shape, outcome, share }: Lease, maxShare: number): boolean {
  return shape.slots.every((slot, index) => {
    // A shadow policy over its limit was not charged.
    const { fits, parameters } = outcome.slots[index] as SlotOutcome
    return fits && slot.cost <= roomOf(slot, parameters, share * maxShare)
  })
}

/** Whether more than half was not spent. */
export function isMostlyLeft({ shape, left }: Lease): boolean {
  return left.some((units, index) => units * 2 > (shape.slots[index] as Slot).cost)
}

/** Takes the shape's costs out of a lease that covers them. */
export function spend(lease: Lease, shape: Shape, asked: number): Outcome {
  for (let index = 0; index < shape.slots.length; index++) {
    lease.left[index] = (lease.left[index] as number) - (shape.slots[index] as Slot).cost
  }
  return standing(lease, shape, asked)
}

/** Where the subject stands as far as this process knows: what it has not spent yet counts as left. */
function standing(lease: Lease, shape: Shape, asked: number): Outcome {
  const { outcome, left } = lease
  const now = outcome.now + Math.ceil(asked - outcome.asked)
  const slots: SlotOutcome[] = []
  for (let index = 0; index < shape.slots.length; index++) {
    const slot = shape.slots[index] as Slot
    const found = outcome.slots[index] as SlotOutcome
    const { kernel } = slot.policy[INTERNALS]
    const { parameters } = found
    const state = stateOf(slot, found)
    kernel.refresh(state, now, parameters, windowsOf(slot, now))
    kernel.refund(state, now, left[index] as number, parameters)
    slots.push({ fits: true, wait: 0, blocked: 0, parameters, a: state.a, b: state.b, c: state.c })
  }
  return { now, granted: true, wait: 0, slots, asked }
}
