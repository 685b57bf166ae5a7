/** One of the subjects that were denied most. */
export interface Offender {
  /** '#' and a digest for one of more than 128 characters, so that what is kept stays small. */
  readonly subject: string
  /** Denials counted for it: at least the true number less `error`, at most the true number plus `error`. */
  readonly denied: number
  /** How much of `denied` may belong to subjects that were pushed out before it came. */
  readonly error: number
}

interface Counter {
  subject: string
  denied: number
  error: number
}

/**
 * The most frequent of a stream of subjects in constant memory and time: the space-saving sketch of Metwally,
 * Agrawal and El Abbadi (2005). With k counters every subject with more than 1/k of all denials is among them.
 */
export class Offenders {
  readonly #size: number
  // Sorted, most denied first; where each subject is, and where each count begins.
  readonly #counters: Counter[] = []
  readonly #places = new Map<string, number>()
  readonly #firsts = new Map<number, number>()

  constructor(size: number) {
    this.#size = size
  }

  add(subject: string): void {
    let place = this.#places.get(subject)
    if (place === undefined) {
      place = this.#counters.length
      if (place < this.#size) this.#counters.push({ subject, denied: 0, error: 0 })
      else {
        place--
        const last = this.#counters[place] as Counter
        this.#places.delete(last.subject)
        last.subject = subject
        last.error = last.denied
      }
      this.#places.set(subject, place)
    }
    this.#increment(place)
  }

  top(): readonly Offender[] {
    return this.#counters.map((counter) => ({ ...counter }))
  }

  // The first of all counters with the same count takes the step: the order stays without a search.
  #increment(place: number): void {
    const counter = this.#counters[place] as Counter
    const { denied } = counter
    const first = this.#firsts.get(denied) ?? place
    const other = this.#counters[first] as Counter
    this.#counters[first] = counter
    this.#counters[place] = other
    this.#places.set(other.subject, place)
    this.#places.set(counter.subject, first)
    if (this.#counters[first + 1]?.denied === denied) this.#firsts.set(denied, first + 1)
    else this.#firsts.delete(denied)
    counter.denied = denied + 1
    if (!this.#firsts.has(denied + 1)) this.#firsts.set(denied + 1, first)
  }
}
