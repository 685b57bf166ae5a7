/** Names of events with the payload each carries. */
export type EventMap = Readonly<Record<string, unknown>>

/** Called with what the event carries; what it returns is ignored. */
export type Listener<Payload> = (payload: Payload) => void

/** What an instance offers its users: subscribe, and dispose to unsubscribe. */
export interface EventSource<Events extends EventMap> {
  /** Calls `listener` at each event of that name until the answer is disposed of. */
  on<Name extends keyof Events & string>(name: Name, listener: Listener<Events[Name]>): Disposable
}

/**
 * Typed events whose listeners can hurt nobody: a listener that throws does not reach the code that emitted
 * nor the other listeners; its error becomes a process warning (`CaysListenerError`).
 */
export class Events<Map extends EventMap> implements EventSource<Map> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<Listener<never>>>()

  /** The same function may be registered more than once; each registration is disposed on its own. */
  on<Name extends keyof Map & string>(name: Name, listener: Listener<Map[Name]>): Disposable {
    if (typeof listener !== 'function') throw new TypeError('on: the listener must be a function')
    const registered: Listener<Map[Name]> = (payload) => listener(payload)
    let listeners = this.#listeners.get(name)
    if (!listeners) {
      listeners = new Set()
      this.#listeners.set(name, listeners)
    }
    listeners.add(registered)
    return {
      [Symbol.dispose]: () => {
        this.#listeners.get(name)?.delete(registered)
      },
    }
  }

  /** True when somebody listens: lets the emitter skip building a payload. */
  has(name: keyof Map & string): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0
  }

  /** Calls the listeners in the order of their registration, before it returns. */
  emit<Name extends keyof Map & string>(name: Name, payload: Map[Name]): void {
    const listeners = this.#listeners.get(name)
    if (!listeners || listeners.size === 0) return
    for (const listener of [...listeners]) {
      try {
        ;(listener as Listener<Map[Name]>)(payload)
      } catch (error) {
        process.emitWarning(
          `a listener of '${name}' threw: ${error instanceof Error ? error.stack : error}`,
          {
            type: 'CaysListenerError',
          },
        )
      }
    }
  }

  /** Drops every listener. */
  clear(): void {
    this.#listeners.clear()
  }
}
