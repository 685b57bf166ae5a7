import type { Parameters, State } from './kernel.ts'
import { MODE, type Outcome, type Shape, type Slot, windowsOf } from './operation.ts'
import { INTERNALS } from './policy.ts'

interface Entry extends State {
  blocked: number
  override: Parameters | undefined
  overrideEnds: number
  /** Until when forgetting it would make a difference. */
  dies: number
}

/** A copy of a subject's state, brought to now: an operation that changes nothing leaves nothing behind. */
interface Draft extends State {
  fits: boolean
  wait: number
  blocked: number
  parameters: Parameters
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
    const drafts: Draft[] = []
    let longest = 0
    let blocked = false
    for (const slot of slots) {
      const entry = this.#entry(slot, subject, now)
      const draft = arrive(entry, slot, now)
      entries.push(entry)
      drafts.push(draft)
      if (slot.policy.mode === 'shadow') continue
      if (draft.wait > longest) longest = draft.wait
      if (draft.blocked > 0) blocked = true
    }
    const granted = !blocked && longest <= (mode === MODE.check ? argument : 0)
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index] as Slot
      this.#apply(shape, slot, subject, entries[index] as Entry, drafts[index] as Draft, granted, now)
    }
    return { now, granted, wait: granted ? longest : 0, slots: drafts, asked: now }
  }

  // The common case without the lists.
  #runOne(shape: Shape, slot: Slot, subject: string, now: number): Outcome {
    const entry = this.#entry(slot, subject, now)
    const draft = arrive(entry, slot, now)
    const enforced = slot.policy.mode === 'enforce'
    const longest = enforced ? draft.wait : 0
    const granted =
      !(enforced && draft.blocked > 0) && longest <= (shape.mode === MODE.check ? shape.argument : 0)
    this.#apply(shape, slot, subject, entry, draft, granted, now)
    return { now, granted, wait: granted ? longest : 0, slots: [draft], asked: now }
  }

  #entry(slot: Slot, subject: string, now: number): Entry {
    const entry = this.#tables[slot.place]?.get(subject)
    if (!entry) return { a: 0, b: 0, c: 0, blocked: 0, override: undefined, overrideEnds: 0, dies: 0 }
    if (entry.override && entry.overrideEnds <= now) entry.override = undefined
    return entry
  }

  #apply(
    shape: Shape,
    slot: Slot,
    subject: string,
    entry: Entry,
    draft: Draft,
    granted: boolean,
    now: number,
  ): void {
    const { kernel } = slot.policy[INTERNALS]
    switch (shape.mode) {
      case MODE.peek:
        return
      case MODE.check:
        if (!granted || (slot.policy.mode === 'shadow' && draft.wait > 0)) return
        kernel.charge(draft, now, slot.cost, draft.parameters)
        break
      case MODE.charge:
        kernel.charge(draft, now, slot.cost, draft.parameters)
        break
      case MODE.refund:
        kernel.refund(draft, now, slot.cost, draft.parameters, slot.mark)
        break
      case MODE.block:
        draft.blocked = shape.argument > 0 ? now + shape.argument : 0
        break
      case MODE.resize:
        entry.override = slot.own
        entry.overrideEnds = now + shape.argument
        draft.parameters = slot.own ?? slot.parameters
        kernel.refresh(draft, now, draft.parameters, windowsOf(slot, now))
        break
      case MODE.reset:
        clear(draft)
        kernel.refresh(draft, now, draft.parameters, windowsOf(slot, now))
        break
    }
    entry.blocked = draft.blocked
    save(draft, entry)
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
function clear(draft: Draft): void {
  draft.a = 0
  draft.b = 0
  draft.c = 0
  draft.blocked = 0
  if (draft.entries) draft.entries = []
}

function arrive(entry: Entry, slot: Slot, now: number): Draft {
  const { kernel, calendar } = slot.policy[INTERNALS]
  const { a, b, c, entries } = entry
  const parameters = entry.override ?? slot.parameters
  const blocked = entry.blocked > now ? entry.blocked : 0
  const draft: Draft = { fits: false, wait: 0, blocked, parameters, a, b, c }
  if (entries) draft.entries = entries
  const windows = calendar ? windowsOf(slot, now) : NONE
  if (kernel.refresh(draft, now, parameters, windows)) save(draft, entry)
  draft.wait = kernel.wait(draft, now, slot.cost, parameters, windows)
  draft.fits = draft.wait === 0
  return draft
}

function save({ a, b, c, entries }: Draft, entry: Entry): void {
  entry.a = a
  entry.b = b
  entry.c = c
  if (entries) entry.entries = entries
}

const NONE: readonly number[] = []

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
