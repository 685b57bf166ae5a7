/**
 * Who waits, in turn, and since when.
 *
 * A `Map` or `Set` that is filled and emptied all the time leaves a trail of tables, each holding the next, which the
 * collector of young objects takes for alive: under load that costs more than all the rest. An array does not.
 */
export class WaitingLine<T extends object> {
  readonly #waiting: (T | undefined)[] = []
  readonly #since: number[] = []
  #first = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** `now`: not before that of who came last. */
  add(one: T, now: number): void {
    this.#waiting.push(one)
    this.#since.push(now)
    this.#size++
  }

  /** Whoever waits longest, and has waited since `moment` at least; it waits no more. */
  take(moment: number = Number.POSITIVE_INFINITY): T | undefined {
    this.#skip()
    const found = this.#waiting[this.#first]
    if (!found || (this.#since[this.#first] as number) > moment) return undefined
    this.#waiting[this.#first++] = undefined
    this.#size--
    return found
  }

  /** Since when whoever waits longest does. */
  get since(): number | undefined {
    this.#skip()
    return this.#since[this.#first]
  }

  /** False when it did not wait. */
  remove(one: T): boolean {
    const at = this.#waiting.indexOf(one, this.#first)
    if (at < 0) return false
    this.#waiting[at] = undefined
    this.#size--
    return true
  }

  /** To the first that still waits; what is before it is let go of by and by. */
  #skip(): void {
    while (this.#first < this.#waiting.length && this.#waiting[this.#first] === undefined) this.#first++
    if (this.#first < 64 || this.#first * 2 < this.#waiting.length) return
    this.#waiting.splice(0, this.#first)
    this.#since.splice(0, this.#first)
    this.#first = 0
  }
}
