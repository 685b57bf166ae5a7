import { hash } from 'node:crypto'
import { subjectForm } from './subject.ts'

const MOST = 1_000

/**
 * The parameter of a RateLimit field that tells whose limit it is: nine bytes of a digest, which tell subjects
 * apart and tell nobody who they are. The latest are remembered, since who asks once asks again.
 */
export class PartitionKeys {
  readonly #known = new Map<string, string>()

  of(subject: string): string {
    const form = subjectForm(subject)
    const known = this.#known.get(form)
    if (known !== undefined) return known
    const parameter = `;pk=:${hash('sha256', form, 'base64').slice(0, 12)}:`
    if (this.#known.size === MOST) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(form, parameter)
    return parameter
  }
}
