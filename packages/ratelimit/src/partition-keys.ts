import { hash } from 'node:crypto'

const MOST = 1_000
const LONGEST = 128

/**
 * The parameter of a RateLimit field that tells whose limit it is: nine bytes of a digest, which tell subjects
 * apart and tell nobody who they are. The latest are remembered, since who asks once asks again.
 */
export class PartitionKeys {
  readonly #known = new Map<string, string>()

  of(subject: string): string {
    const known = this.#known.get(subject)
    if (known !== undefined) return known
    const parameter = `;pk=:${hash('sha256', subject, 'base64').slice(0, 12)}:`
    if (subject.length > LONGEST) return parameter
    if (this.#known.size === MOST) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(subject, parameter)
    return parameter
  }
}
