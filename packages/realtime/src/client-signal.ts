/** Calls its listeners; one that throws hurts neither the others nor the caller. */
export class Signal<Arguments extends readonly unknown[]> {
  readonly #listeners = new Set<(...args: Arguments) => void>()

  /** Returns the function that removes the listener. */
  add(listener: (...args: Arguments) => void): () => void {
    const registered = (...args: Arguments) => listener(...args)
    this.#listeners.add(registered)
    return () => this.#listeners.delete(registered)
  }

  emit(...args: Arguments): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(...args)
      } catch (error) {
        // Where a browser or Node reports what nobody caught.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
