import { UnavailableError } from './errors.ts'
import type { Server } from './server.ts'
import type { Settings } from './settings.ts'

interface Waiter {
  resolve(server: Server): void
  reject(error: Error): void
}

/** Statements that wait for a primary: so many at once, and so long, counted from the moment it was lost. */
export class WriteBuffer {
  readonly #limits: Settings['buffer']
  readonly #cause: () => unknown
  readonly #waiters = new Set<Waiter>()
  #lostAt = performance.now()
  #expiry: NodeJS.Timeout | undefined

  /** `cause` is what the last probe of some server failed with. */
  constructor(limits: Settings['buffer'], cause: () => unknown) {
    this.#limits = limits
    this.#cause = cause
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /** The next primary within what is left of the window. Rejects with a typed error. */
  wait(signal: AbortSignal | undefined): Promise<Server> {
    const { window, size } = this.#limits
    const left = this.#lostAt + window - performance.now()
    if (left <= 0) return Promise.reject(this.#noPrimary())
    if (this.#waiters.size >= size) {
      return Promise.reject(
        new UnavailableError(
          'DB_ERR_BUFFER_FULL',
          `no primary is known and ${size} statements already wait for one; try again later`,
        ),
      )
    }
    return new Promise<Server>((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        leave()
        reject(signal?.reason)
      }
      const waiter: Waiter = {
        resolve: (server) => {
          leave()
          resolve(server)
        },
        reject: (error) => {
          leave()
          reject(error)
        },
      }
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      this.#expiry ??= setTimeout(() => this.#expire(), left)
    })
  }

  /** The window opens. */
  lost(): void {
    this.#lostAt = performance.now()
  }

  found(primary: Server): void {
    clearTimeout(this.#expiry)
    this.#expiry = undefined
    for (const waiter of [...this.#waiters]) waiter.resolve(primary)
  }

  close(): void {
    clearTimeout(this.#expiry)
    for (const waiter of [...this.#waiters]) {
      waiter.reject(
        new UnavailableError('DB_ERR_CLOSED', 'the router was closed before the statement started'),
      )
    }
  }

  #expire(): void {
    this.#expiry = undefined
    for (const waiter of [...this.#waiters]) waiter.reject(this.#noPrimary())
  }

  #noPrimary(): UnavailableError {
    return new UnavailableError(
      'DB_ERR_NO_PRIMARY',
      `no server has accepted writes for ${Math.round(performance.now() - this.#lostAt)} ms; try again when a primary is back`,
      { cause: this.#cause() },
    )
  }
}
