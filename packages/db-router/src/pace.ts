/** Texts whose pace is remembered. */
const SIZE = 2_000
/** Times a text must have run before it is prepared. */
const REPEATED = 2

/** How a text has run so far. */
export class Pace {
  readonly #slow: number
  #runs = 0
  #took = 0
  #name: string | undefined

  /** `slow`: from this many milliseconds on it shares no connection. */
  constructor(slow: number) {
    this.#slow = slow
  }

  /** The server worked on it for so many milliseconds. */
  took(milliseconds: number): void {
    this.#took = this.#runs++ === 0 ? milliseconds : this.#took + (milliseconds - this.#took) * 0.2
  }

  /** Known to be over soon: whoever shares a connection waits for all that was sent before. */
  get quick(): boolean {
    return this.#runs > 0 && this.#took < this.#slow
  }

  /** The name to prepare it under, once it has been repeated. */
  name(next: () => string): string | undefined {
    if (this.#runs < REPEATED) return undefined
    this.#name ??= next()
    return this.#name
  }
}

/** The pace of each text, of the texts seen lately. */
export class Paces {
  readonly #known = new Map<string, Pace>()
  readonly #slow: number
  #names = 0

  constructor(slow: number) {
    this.#slow = slow
  }

  of(text: string): Pace {
    const known = this.#known.get(text)
    if (known) return known
    const pace = new Pace(this.#slow)
    if (this.#known.size >= SIZE) {
      const oldest = this.#known.keys().next()
      if (!oldest.done) this.#known.delete(oldest.value)
    }
    this.#known.set(text, pace)
    return pace
  }

  /** The name of a prepared statement; never one that was given before. */
  name(pace: Pace): string | undefined {
    return pace.name(() => `cays_${++this.#names}`)
  }
}
