/** Held by one read or load of a key while it is under way; voided when the key changes meanwhile. */
export interface Fence {
  readonly voided: boolean
  close(): void
}

/** Held by one read of many keys: those of all keys that changed meanwhile. */
export interface ManyFence {
  readonly voided: ReadonlySet<string>
  close(): void
}

class OpenFence implements Fence {
  voided = false
  readonly #fences: Map<string, Set<OpenFence>>
  readonly #key: string

  constructor(fences: Map<string, Set<OpenFence>>, key: string) {
    this.#fences = fences
    this.#key = key
  }

  close(): void {
    const open = this.#fences.get(this.#key)
    open?.delete(this)
    if (open?.size === 0) this.#fences.delete(this.#key)
  }
}

/**
 * Keeps what was read or loaded before an invalidation out of memory after it. Bounded by the reads under way.
 */
export class Fences {
  readonly #open = new Map<string, Set<OpenFence>>()
  readonly #many = new Set<Set<string>>()

  /** One for many keys costs no more than one for one. */
  openMany(): ManyFence {
    const voided = new Set<string>()
    this.#many.add(voided)
    return { voided, close: () => void this.#many.delete(voided) }
  }

  open(key: string): Fence {
    const fence = new OpenFence(this.#open, key)
    const open = this.#open.get(key)
    if (open) open.add(fence)
    else this.#open.set(key, new Set([fence]))
    return fence
  }

  void(key: string): void {
    for (const voided of this.#many) voided.add(key)
    const open = this.#open.get(key)
    if (!open) return
    for (const fence of open) fence.voided = true
  }
}
