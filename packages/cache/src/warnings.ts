/** What a cache tells the operator, as a warning of the process with this code. */
export type WarningCode =
  | 'CACHE_WARN_INFO'
  | 'CACHE_WARN_PUBSUB'
  | 'CACHE_WARN_TRACKING'
  | 'CACHE_WARN_ENTRY_BYTES'
  | 'CACHE_WARN_UNREADABLE'

/** What is said of a value that Redis does not get. */
export const OVERSIZE =
  'a value is larger than l2.maxEntryBytes and stays in this process; the others load their own'

/** Warnings of one cache, each once: it goes on without something, and nobody would notice. */
export class Warnings {
  readonly #name: string
  readonly #given = new Set<WarningCode>()

  constructor(name: string) {
    this.#name = name
  }

  warn(code: WarningCode, message: string): void {
    if (this.#given.has(code)) return
    this.#given.add(code)
    process.emitWarning(`cache ${this.#name}: ${message}`, { type: 'CaysCacheWarning', code })
  }
}
