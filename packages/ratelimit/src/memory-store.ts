import type { Parameters, State } from './kernel.ts'
import { MODE, type Outcome, type Shape, type Slot, type SlotOutcome, windowsOf } from './operation.ts'
import { INTERNALS } from './policy.ts'

interface Entry extends State {
  blocked: number
  override: Parameters | undefined
  overrideEnds: number
  dies: number
}

export interface MemoryStoreOptions {
  /** Most subjects kept per policy. */
  readonly max: number
  /** Microseconds since the epoch; never jumps. */
  readonly now: () => number
}

/**
 * The same operations as the Redis script, in this process. When a policy holds more than `max` subjects the
 * ones it met first are forgotten, expired ones before all others.
 */
export class MemoryStore {
  readonly #options: MemoryStoreOptions
  // By the place of the policy.
  readonly #tables: Map<string, Entry>[] = []

  constructor(options: MemoryStoreOptions) {
    this.#options = options
  }

  run(shape: Shape, subject: string): Outcome {
    const now = this.#options.now()
    const { slots, mode, argument } = shape
    if (slots.length === 1) return this.#runOne(shape, slots[0] as Slot, subject, now)
    const entries: Entry[] = []
    const waits: number[] = []
    let longest = 0
    let blocked = false
    for (const slot of slots) {
      const entry = this.#entry(slot, subject, now)
      const wait = arrive(entry, slot, now)
      entries.push(entry)
      waits.push(wait)
      if (slot.policy.mode === 'shadow') continue
      if (wait > longest) longest = wait
      if (entry.blocked > now) blocked = true
    }
    const granted = !blocked && longest <= (mode === MODE.check ? argument : 0)
    const outcomes: SlotOutcome[] = []
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index] as Slot
      const entry = entries[index] as Entry
      const wait = waits[index] as number
      this.#apply(shape, slot, subject, entry, wait, granted, now)
      outcomes.push(outcomeOf(slot, entry, wait, now))
    }
    return { now, granted, wait: granted ? longest : 0, slots: outcomes, asked: now }
  }

  // The common case without the lists.
  #runOne(shape: Shape, slot: Slot, subject: string, now: number): Outcome {
    const entry = this.#entry(slot, subject, now)
    const wait = arrive(entry, slot, now)
    const enforced = slot.policy.mode === 'enforce'
    const longest = enforced ? wait : 0
    const granted =
      !(enforced && entry.blocked > now) && longest <= (shape.mode === MODE.check ? shape.argument : 0)
    this.#apply(shape, slot, subject, entry, wait, granted, now)
    return {
      now,
      granted,
      wait: granted ? longest : 0,
      slots: [outcomeOf(slot, entry, wait, now)],
      asked: now,
    }
  }

  #entry(slot: Slot, subject: string, now: number): Entry {
    const entry = this.#tables[slot.place]?.get(subject)
    if (!entry) return { a: 0, b: 0, c: 0, blocked: 0, override: undefined, overrideEnds: 0, dies: 0 }
    if (entry.dies <= now) {
      clear(entry)
      entry.override = undefined
    } else if (entry.override && entry.overrideEnds <= now) entry.override = undefined
    return entry
  }

  #apply(
    shape: Shape,
    slot: Slot,
    subject: string,
    entry: Entry,
    wait: number,
    granted: boolean,
    now: number,
  ): void {
    const { kernel } = slot.policy[INTERNALS]
    const limit = entry.override ?? slot.parameters
    switch (shape.mode) {
      case MODE.peek:
        return
      case MODE.check:
        if (!granted || (slot.policy.mode === 'shadow' && wait > 0)) return
        kernel.charge(entry, now, slot.cost, limit)
        break
      case MODE.charge:
        kernel.charge(entry, now, slot.cost, limit)
        break
      case MODE.refund:
        kernel.refund(entry, now, slot.cost, limit, slot.mark)
        break
      case MODE.block:
        entry.blocked = shape.argument > 0 ? now + shape.argument : 0
        break
      case MODE.resize:
        entry.override = slot.own
        entry.overrideEnds = now + shape.argument
        kernel.refresh(entry, now, slot.own ?? slot.parameters, windowsOf(slot, now))
        break
      case MODE.reset:
        clear(entry)
        kernel.refresh(entry, now, limit, windowsOf(slot, now))
        break
    }
    this.#keep(slot, subject, entry, now)
  }

  #keep(slot: Slot, subject: string, entry: Entry, now: number): void {
    const { kernel, calendar } = slot.policy[INTERNALS]
    const limit = entry.override ?? slot.parameters
    const kept = entry.dies > 0
    let dies = now + kernel.timeToFull(entry, now, limit, calendar ? windowsOf(slot, now) : NONE)
    if (entry.blocked > dies) dies = entry.blocked
    if (entry.override && entry.overrideEnds > dies) dies = entry.overrideEnds
    entry.dies = dies
    if (kept) return
    this.#tables[slot.place] ??= new Map()
    const table = this.#tables[slot.place] as Map<string, Entry>
    table.set(subject, entry)
    if (table.size > this.#options.max) evict(table, now)
  }

  /** Subjects held for all policies. */
  get size(): number {
    let size = 0
    for (const table of this.#tables) size += table?.size ?? 0
    return size
  }

  clear(): void {
    this.#tables.length = 0
  }
}

// As if nothing had been used; a limit of its own stays.
function clear(entry: Entry): void {
  entry.a = 0
  entry.b = 0
  entry.c = 0
  entry.blocked = 0
  if (entry.entries) entry.entries = []
}

function arrive(entry: Entry, slot: Slot, now: number): number {
  const { kernel, calendar } = slot.policy[INTERNALS]
  const limit = entry.override ?? slot.parameters
  const windows = calendar ? windowsOf(slot, now) : NONE
  kernel.refresh(entry, now, limit, windows)
  return kernel.wait(entry, now, slot.cost, limit, windows)
}

const NONE: readonly number[] = []

function outcomeOf(slot: Slot, entry: Entry, wait: number, now: number): SlotOutcome {
  return {
    fits: wait === 0,
    wait,
    blocked: entry.blocked > now ? entry.blocked : 0,
    parameters: entry.override ?? slot.parameters,
    a: entry.a,
    b: entry.b,
    c: entry.c,
  }
}

// Frees a sixteenth at a time, so that the cost of looking for expired entries is spread thin.
function evict(table: Map<string, Entry>, now: number): void {
  const target = table.size - Math.max(1, table.size >> 4)
  for (const [subject, entry] of table) {
    if (table.size <= target) return
    if (entry.dies <= now) table.delete(subject)
  }
  for (const subject of table.keys()) {
    if (table.size <= target) return
    table.delete(subject)
  }
}
