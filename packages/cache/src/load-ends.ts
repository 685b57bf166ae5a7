import { delay } from '@cays/core/abort'

/** Who in this process waits for a load in another one. */
export class LoadEnds {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** A load of this key has ended, well or not. */
  tell(key: string): void {
    for (const end of this.#waiting.get(key) ?? []) end()
  }

  /** Resolves when that is told, and after `most` milliseconds at the latest. */
  async wait(key: string, most: number, signal: AbortSignal): Promise<void> {
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    const waiting = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, waiting.add(end))
    try {
      await Promise.race([ended, delay(most, { signal })])
    } finally {
      waiting.delete(end)
      if (waiting.size === 0) this.#waiting.delete(key)
    }
  }
}
