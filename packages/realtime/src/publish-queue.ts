import { randomBytes } from 'node:crypto'
import { raceAbort } from '@cays/core/abort'
import type { Append, Broker, HistorySpec } from './broker.ts'
import { RealtimeError } from './errors.ts'
import type { Position } from './protocol.ts'

export interface PublishQueueOptions {
  /** Publishes that may wait at once in this process. */
  readonly capacity: number
}

interface Waiting {
  readonly item: Append
  readonly resolve: (position: Position) => void
  readonly reject: (error: unknown) => void
}

interface Lane {
  readonly waiting: Waiting[]
  running: boolean
}

const MAX_BATCH = 100

/**
 * Publishes of this process, in order per room: one call to the broker is under way per room, and what
 * comes meanwhile travels in the next one. Under load batches form by themselves; a lone publish waits for
 * nothing.
 */
export class PublishQueue {
  readonly #broker: Broker
  readonly #options: PublishQueueOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #origin = randomBytes(9).toString('base64url')
  #sequence = 0
  #size = 0

  constructor(broker: Broker, options: PublishQueueOptions) {
    this.#broker = broker
    this.#options = options
  }

  /** A key no other publish of any process has. */
  uniqueKey(): string {
    return `${this.#origin}${(this.#sequence++).toString(36)}`
  }

  publish(room: string, spec: HistorySpec, item: Append, signal?: AbortSignal): Promise<Position> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#size >= this.#options.capacity) {
      return Promise.reject(
        new RealtimeError('REALTIME_ERR_OVERLOADED', 'too many publishes wait for Redis; slow down'),
      )
    }
    this.#size++
    const position = new Promise<Position>((resolve, reject) => {
      let lane = this.#lanes.get(room)
      if (!lane) {
        lane = { waiting: [], running: false }
        this.#lanes.set(room, lane)
      }
      lane.waiting.push({ item, resolve, reject })
      if (!lane.running) void this.#run(room, spec, lane)
    })
    return raceAbort(position, signal)
  }

  async #run(room: string, spec: HistorySpec, lane: Lane): Promise<void> {
    lane.running = true
    // Publishes of the same turn of the event loop travel together.
    await Promise.resolve()
    while (lane.waiting.length > 0) {
      const batch = lane.waiting.splice(0, MAX_BATCH)
      try {
        const positions = await this.#broker.append(
          room,
          spec,
          batch.map(({ item }) => item),
        )
        for (const [index, { resolve, reject }] of batch.entries()) {
          const position = positions[index]
          if (position) resolve(position)
          else reject(new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'Redis answered with too little'))
        }
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
      this.#size -= batch.length
    }
    this.#lanes.delete(room)
  }
}
