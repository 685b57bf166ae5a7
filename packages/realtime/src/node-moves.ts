import { delay, raceAbort } from '@cays/core/abort'
import type { Lifecycle } from '@cays/core/lifecycle'
import type { Connections } from './connections.ts'
import type { Identity } from './options.ts'
import { CLOSE } from './protocol.ts'

// What a client that was asked to move at the end of a drain has left to do so.
const LATE = 5_000

/** Asks clients to go on at other nodes: all of them before this node ends, or a share. */
export class NodeMoves<Who extends Identity> {
  readonly #connections: Connections<Who>
  readonly #life: Lifecycle
  #draining: AbortController | undefined

  constructor(connections: Connections<Who>, life: Lifecycle) {
    this.#connections = connections
    this.#life = life
  }

  get draining(): boolean {
    return this.#draining !== undefined
  }

  /** Resolves when everybody has left; whoever has not, when the time is over or the signal aborts, is closed. */
  async drain(span: number, signal: AbortSignal | undefined): Promise<void> {
    const connections = this.#connections
    const stop = new AbortController()
    this.#draining ??= stop
    const deadline = Date.now() + span + LATE
    for (const connection of connections) {
      connection.advise('drain', Math.random() * span, Math.max(0, deadline - Date.now()))
    }
    const left = async () => {
      while (connections.size > 0 && Date.now() < deadline && this.#life.state === 'open') {
        await delay(20, { signal: stop.signal })
      }
    }
    try {
      await raceAbort(left(), signal)
    } catch {
      // Aborted: what is left is closed now.
    }
    stop.abort()
    for (const connection of connections) connection.close(CLOSE.restart)
  }

  /** Asks each client with this chance to move at some moment of the span; answers how many. */
  shed(chance: number, span: number): number {
    let moving = 0
    for (const connection of this.#connections) {
      if (connection.phase !== 'ready' || Math.random() >= chance) continue
      connection.advise('rebalance', Math.random() * span, span)
      moving++
    }
    return moving
  }

  close(): void {
    this.#draining?.abort()
  }
}
