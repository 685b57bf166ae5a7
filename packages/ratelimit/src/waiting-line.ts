/** Who waits for a slot of one subject in this process, in the order they came. */
export class Line {
  inUse = 0
  /** Calls of `enter` under way. */
  entering = 0
  readonly #waiters: (() => void)[] = []

  get waiting(): boolean {
    return this.#waiters.length > 0
  }

  /** Wakes whoever is first; false when nobody waits. */
  next(): boolean {
    const waiter = this.#waiters.shift()
    waiter?.()
    return waiter !== undefined
  }

  /** Resolves to true when woken, to false after so many milliseconds; rejects when `stop` aborts. */
  wait(milliseconds: number, stop: AbortSignal, first: boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        stop.removeEventListener('abort', abort)
        const place = this.#waiters.indexOf(woken)
        if (place >= 0) this.#waiters.splice(place, 1)
      }
      const woken = () => {
        settle()
        resolve(true)
      }
      const late = () => {
        settle()
        resolve(false)
      }
      const abort = () => {
        settle()
        reject(stop.reason)
      }
      const timer = setTimeout(late, Math.max(0, milliseconds))
      if (stop.aborted) {
        abort()
        return
      }
      stop.addEventListener('abort', abort, { once: true })
      if (first) this.#waiters.unshift(woken)
      else this.#waiters.push(woken)
    })
  }
}
