import type { LimitError } from './errors.ts'
import type { Outcome, Shape } from './operation.ts'
import { keyForm } from './subject.ts'

/** An operation on one subject, and who asked: exactly one of `settle` and `fail` is called, once. */
export interface Asked {
  readonly shape: Shape
  /** In the form that `subjectForm` gives it. */
  readonly subject: string
  settle(outcome: Outcome): void
  fail(error: LimitError): void
}

// A call blocks Redis while it runs: these keep it below about a millisecond.
const MAX_OPERATIONS = 256
const MAX_KEYS = 2_048
const MAX_SHAPES = 64

/** Operations that travel in one call, in the order they were made. */
export class Batch {
  readonly group: number
  readonly asked: Asked[] = []
  readonly keys: string[] = []
  readonly #shapes: Shape[] = []
  // Runs of operations of one shape: the shape's number from 1 on, how many operations.
  readonly #runs: number[] = []
  // An open hash table of the subjects' hashes, at most a quarter full.
  readonly #hashes: Uint32Array
  readonly #most: number
  #last: Shape | undefined
  #repeats = false

  /** For operations on one partition, or on any, at most so many. */
  constructor(group: number, most: number) {
    this.group = group
    this.#most = Math.min(most, MAX_OPERATIONS)
    this.#hashes = new Uint32Array(4 << (32 - Math.clz32(this.#most - 1)))
  }

  /** False when it is full. `hash` is the subject's. */
  add(asked: Asked, prefix: string, hash: number): boolean {
    const { shape } = asked
    const full = this.asked.length === this.#most || this.keys.length + shape.slots.length > MAX_KEYS
    if (full || !this.#counts(shape)) return false
    this.asked.push(asked)
    this.#repeats ||= this.#met(hash)
    const start = prefix + keyForm(asked.subject)
    for (const { suffix } of shape.slots) this.keys.push(start + suffix)
    return true
  }

  /** The script's argument, for a server whose clock shows about that time. */
  encode(now: number): string {
    const shapes = this.#shapes.map((shape) => shape.encode(now))
    return `[[${shapes.join(',')}],[${this.#runs.join(',')}],${this.#repeats}]`
  }

  #counts(shape: Shape): boolean {
    if (shape === this.#last) {
      this.#runs[this.#runs.length - 1] = (this.#runs.at(-1) as number) + 1
      return true
    }
    let number = this.#shapes.indexOf(shape) + 1
    if (number === 0) {
      if (this.#shapes.length === MAX_SHAPES) return false
      number = this.#shapes.push(shape)
    }
    this.#runs.push(number, 1)
    this.#last = shape
    return true
  }

  // Whether the hash was met before; two subjects that share theirs count as one.
  #met(hash: number): boolean {
    const mark = hash === 0 ? 1 : hash
    const last = this.#hashes.length - 1
    let place = (hash >>> 16) & last
    while (this.#hashes[place] !== 0) {
      if (this.#hashes[place] === mark) return true
      place = (place + 1) & last
    }
    this.#hashes[place] = mark
    return false
  }
}
