import { setMaxListeners } from 'node:events'
import { RealtimeError } from './errors.ts'

/**
 * What is under way on behalf of one connection. Its signal exists only meanwhile: an idle connection would pay
 * more for it than for all else we know of it.
 */
export class ConnectionWork {
  #controller: AbortController | undefined
  #running = 0
  #ended: Error | undefined

  get ended(): boolean {
    return this.#ended !== undefined
  }

  /** Runs work with a signal that aborts when the connection ends; rejects at once when it has ended. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#ended) throw this.#ended
    this.#controller ??= newController()
    this.#running++
    try {
      return await work(this.#controller.signal)
    } finally {
      if (--this.#running === 0) this.#controller = undefined
    }
  }

  end(reason: Error): void {
    this.#ended ??= reason
    this.#controller?.abort(reason)
  }
}

function newController(): AbortController {
  const controller = new AbortController()
  // One for each room that is being joined.
  setMaxListeners(0, controller.signal)
  return controller
}

export function tooSlow(): RealtimeError {
  return new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'the server was too slow to answer; try again')
}
