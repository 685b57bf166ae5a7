import type { IncomingMessage } from 'node:http'

/** The headers of one request as they were sent, values trimmed and repeated ones joined by a comma. */
export class R2Headers {
  readonly #values = new Map<string, string>()

  constructor(request: Pick<IncomingMessage, 'rawHeaders'>) {
    for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
      const name = (request.rawHeaders[i] ?? '').toLowerCase()
      const value = (request.rawHeaders[i + 1] ?? '').trim()
      const before = this.#values.get(name)
      this.#values.set(name, before === undefined ? value : `${before},${value}`)
    }
  }

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  names(): IterableIterator<string> {
    return this.#values.keys()
  }

  entries(): IterableIterator<[string, string]> {
    return this.#values.entries()
  }

  /** Takes over a header that a presigned URL carries in its query; a real header of that name stays. */
  adopt(name: string, value: string): void {
    if (!this.#values.has(name)) this.#values.set(name, value)
  }
}
