import { AsyncLocalStorage } from 'node:async_hooks'
import { PendingWrites } from './pending-writes.ts'
import type { Write } from './redis-feed.ts'

interface Transaction {
  readonly writes: PendingWrites
  readonly outer: Transaction | undefined
  open: boolean
}

/**
 * Writes that wait for the end of a transaction. They find it by their asynchronous context, so that code deep
 * inside need not know that it runs in one.
 */
export class Transactions {
  readonly #running = new AsyncLocalStorage<Transaction>()
  readonly #limit: number
  readonly #carryOut: (write: Write) => Promise<unknown>

  /** More than `limit` names in one transaction become one `clear`. */
  constructor(limit: number, carryOut: (write: Write) => Promise<unknown>) {
    this.#limit = limit
    this.#carryOut = carryOut
  }

  /** True when the write now waits for the end of a transaction. */
  defers(write: Write): boolean {
    const transaction = this.#current()
    transaction?.writes.add(write)
    return transaction !== undefined
  }

  async run<T>(work: () => T | PromiseLike<T>): Promise<T> {
    const outer = this.#current()
    const own: Transaction = { writes: new PendingWrites(this.#limit), outer, open: true }
    try {
      const result = await this.#running.run(own, async () => await work())
      await this.#end(own)
      return result
    } catch (error) {
      // A commit whose answer was lost may have happened: what is dropped for nothing is only loaded again.
      if (own.open && isUnknown(error)) await this.#end(own)
      throw error
    } finally {
      own.open = false
    }
  }

  async #end(own: Transaction): Promise<void> {
    own.open = false
    for (let write = own.writes.take(); write; write = own.writes.take()) {
      // The outer one may still fail, and with it what this one did.
      if (own.outer?.open) own.outer.writes.add(write)
      else await this.#carryOut(write)
    }
  }

  /** Work that goes on after its transaction ended belongs to the one around it, if that still runs. */
  #current(): Transaction | undefined {
    let transaction = this.#running.getStore()
    while (transaction && !transaction.open) transaction = transaction.outer
    return transaction
  }
}

function isUnknown(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'outcome' in error && error.outcome === 'unknown'
}
