import type { State } from './kernel.ts'
import { MODE, type Outcome, type Shape, type Slot, type SlotOutcome } from './operation.ts'
import { INTERNALS } from './policy.ts'

/** Reads what the decision script answers, see there. */
export class Reply {
  /** The server's time in microseconds. */
  readonly now: number
  /** Whether any operation was done; otherwise the calendar windows sent were not those of the server's time. */
  readonly done: boolean
  readonly #numbers: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.now = this.#next()
    this.done = bytes.byteLength > 8
  }

  /** What the next operation came to; to be asked for in the order they were sent. */
  outcome(shape: Shape, asked: number): Outcome {
    const { now } = this
    // The numbers of a state are never negative, a status always is.
    const ordinary = this.#numbers.getFloat64(this.#at, true) >= 0
    const status = ordinary ? -2 : this.#next()
    const slots: SlotOutcome[] = []
    for (let index = 0; index < shape.slots.length; index++) {
      const slot = shape.slots[index] as Slot
      slots.push(ordinary ? this.#ordinary(slot) : this.#special(shape, slot))
    }
    const wait = status < -2 ? -2 - status : 0
    return { now, granted: status <= -2, wait, slots, asked }
  }

  #next(): number {
    const value = this.#numbers.getFloat64(this.#at, true)
    this.#at += 8
    return value
  }

  #ordinary(slot: Slot): SlotOutcome {
    const { code, arity } = slot.policy[INTERNALS].kernel
    const a = this.#next()
    const b = arity > 1 ? this.#next() : this.now
    const c = arity > 2 && code !== 5 ? this.#next() : 0
    return { fits: true, wait: 0, blocked: 0, parameters: slot.parameters, a, b, c }
  }

  #special(shape: Shape, slot: Slot): SlotOutcome {
    const { kernel, calendar } = slot.policy[INTERNALS]
    const flags = this.#next()
    const a = this.#next()
    const b = kernel.arity > 1 ? this.#next() : this.now
    const c = kernel.arity > 2 ? this.#next() : 0
    const paced = shape.mode === MODE.check && shape.argument > 0
    // The state is the one after the charge: only the script knows what a paced grant had to wait for.
    const told = kernel.code === 5 ? c : paced ? this.#next() : undefined
    let blocked = 0
    let parameters = slot.parameters
    if (flags > 1) {
      blocked = this.#next()
      const own = { cap: this.#next(), x: this.#next(), y: this.#next(), z: this.#next() }
      if ((flags & 4) !== 0) parameters = own
    }
    const fits = (flags & 1) !== 0
    let wait = 0
    if (!fits) {
      const state: State = { a, b, c }
      if (told !== undefined) wait = told < 0 ? Number.POSITIVE_INFINITY : told
      else {
        const windows = calendar ? calendar.windows(this.now) : []
        wait = kernel.wait(state, this.now, slot.cost, parameters, windows)
      }
    }
    return { fits, wait, blocked, parameters, a, b, c }
  }
}
