import type { PresenceStore } from './presence-store.ts'

export interface PresenceLeaseOptions {
  readonly node: string
  readonly store: PresenceStore
  /** Milliseconds a node is believed without a sign of life. */
  readonly length: number
  /** The name was spent: everything has to be said again under the new one. */
  readonly renamed: () => Promise<void>
  /** Cleans up after a name whose lease has run out. */
  readonly bury: (id: string, own: boolean) => Promise<void>
}

/**
 * The name under which a node says who is there, and the lease that makes others believe it.
 *
 * Invariants:
 * 1. Renewing costs one write per node. A lease that ran out spends the node's name: the node takes the next one, says
 *    everything again under it, and whatever was said under the old name is cleaned up, by whoever comes first. So a
 *    slow cleaner can never remove somebody who is there.
 * 2. A node judges others only when its own lease has been good for a whole length: after an outage of the
 *    store, everybody first has the time to come back.
 */
export class PresenceLease {
  readonly #options: PresenceLeaseOptions
  #incarnation = 0
  #begun: Promise<void> | undefined
  #judgesFrom = Number.POSITIVE_INFINITY
  #beating: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: PresenceLeaseOptions) {
    this.#options = options
  }

  get id(): string {
    return `${this.#options.node}.${this.#incarnation}`
  }

  get held(): boolean {
    return this.#begun !== undefined
  }

  /** Comes before the first member: nobody could clean up after a node without a lease. */
  hold(): Promise<void> {
    this.#begun ??= this.#begin().catch((error: unknown) => {
      this.#begun = undefined
      throw error
    })
    return this.#begun
  }

  /** Renews it no more; resolves when a renewal under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#beating
  }

  async #begin(): Promise<void> {
    await this.#renew()
    this.#timer = setInterval(() => {
      this.#beating ??= this.#beat()
        // The store is away: the next beat tries again.
        .catch(() => {})
        .finally(() => {
          this.#beating = undefined
        })
    }, this.#options.length / 3)
    this.#timer.unref()
  }

  async #renew(): Promise<void> {
    const { store, length } = this.#options
    await store.renew(this.id, length)
    this.#judgesFrom = Date.now() + length
  }

  async #beat(): Promise<void> {
    const { store, length, renamed, bury } = this.#options
    const { state, expired } = await store.renew(this.id, length)
    if (state !== 'renewed') {
      const spent = this.id
      this.#incarnation++
      await this.#renew()
      await renamed()
      await bury(spent, true)
    } else if (Date.now() >= this.#judgesFrom) {
      for (const id of expired) await bury(id, false)
    }
  }
}
