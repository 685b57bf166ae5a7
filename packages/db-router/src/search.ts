import { deadline, delay, raceAbort } from '@cays/core/abort'
import type { Discovery, DiscoveryContext } from './discovery.ts'

export interface SearchParts {
  readonly discovery: Discovery
  /** Milliseconds between two searches; `undefined` for none but those asked for. */
  readonly interval: number | undefined
  readonly query: DiscoveryContext['query']
  readonly found: (servers: Awaited<ReturnType<Discovery['find']>>) => void
  readonly failed: (error: unknown) => void
}

/** Time between the starts of two searches, at least, in milliseconds. */
const SOONEST = 1_000
/** How long one search may take, in milliseconds. */
const LONGEST = 10_000

/** Asks a discovery again and again. */
export class Search {
  readonly #parts: SearchParts
  readonly #closing = new AbortController()
  readonly #first: Promise<void>
  #wake: () => void = () => {}
  #wanted = false

  constructor(parts: SearchParts) {
    this.#parts = parts
    this.#first = new Promise((resolve) => {
      this.#loop(resolve).then(resolve, resolve)
    })
  }

  /** Resolves when the first search is over, whatever came of it. */
  ready(): Promise<void> {
    return this.#first
  }

  /** Something has changed: the next search is due. */
  soon(): void {
    this.#wanted = true
    this.#wake()
  }

  close(): void {
    this.#closing.abort()
    this.#wake()
  }

  async #loop(first: () => void): Promise<void> {
    const { found, failed, interval } = this.#parts
    const { signal } = this.#closing
    while (!signal.aborted) {
      this.#wanted = false
      let wait = interval
      try {
        const servers = await this.#find()
        if (signal.aborted) return
        if (servers.length > 0) found(servers)
      } catch (error) {
        if (signal.aborted) return
        failed(error)
        wait = SOONEST
      }
      first()
      await delay(SOONEST, { signal, unref: true })
      if (!this.#wanted) await this.#pause(wait)
    }
  }

  async #find(): ReturnType<Discovery['find']> {
    using limit = deadline(
      LONGEST,
      () => new Error(`the discovery did not answer within ${LONGEST} ms`),
      this.#closing.signal,
    )
    const { discovery, query } = this.#parts
    return await raceAbort(discovery.find({ signal: limit.signal, query }), limit.signal)
  }

  async #pause(milliseconds: number | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
      timer?.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#closing.signal.aborted) this.#wake()
    })
    this.#wake = () => {}
  }
}
