import { classify, type Statement } from './classify.ts'

/** Texts remembered. */
const SIZE = 2_000
/** Longer texts are mostly built per call and not worth remembering, in characters. */
const LONGEST = 8_192

/** Remembers verdicts by text, and which texts turned out to need the primary although they look like reads. */
export class StatementCache {
  readonly #known = new Map<string, Statement>()

  get(text: string): Statement {
    const known = this.#known.get(text)
    if (known) return known
    const statement = classify(text)
    this.#remember(text, statement)
    return statement
  }

  /** A replica refused this text as something only the primary can do. */
  learn(text: string): void {
    const statement = this.get(text)
    this.#remember(text, { ...statement, kind: 'other', reason: 'a replica refused it before' })
  }

  #remember(text: string, statement: Statement): void {
    if (text.length > LONGEST) return
    if (this.#known.size >= SIZE && !this.#known.has(text)) {
      const oldest = this.#known.keys().next()
      if (!oldest.done) this.#known.delete(oldest.value)
    }
    this.#known.set(text, statement)
  }
}
