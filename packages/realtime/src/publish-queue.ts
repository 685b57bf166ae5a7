import { raceAbort } from '@cays/core/abort'
import type { Append, Appended, Broker } from './broker.ts'
import { RealtimeError } from './errors.ts'
import type { Position } from './protocol.ts'

export interface PublishQueueOptions {
  /** Publishes that may wait at once in this process. */
  readonly capacity: number
}

/** A message on its way. */
export interface Message extends Pick<Append, 'room' | 'spec' | 'key'> {
  readonly text: string
}

interface Waiting {
  readonly message: Message
  readonly resolve: (position: Position) => void
  readonly reject: (error: unknown) => void
}

/** Messages that are one append. */
interface Group {
  readonly append: Append & { readonly texts: string[] }
  readonly waiting: Waiting[]
}

const MAX_BATCH = 256
// Characters; what is longer by itself travels alone.
const MAX_BATCH_LENGTH = 1_048_576

/**
 * Publishes of this process, in order per room: one call to the broker is under way per lane, and what
 * comes meanwhile travels in the next one. Under load batches form by themselves; a lone publish waits for
 * nothing.
 */
export class PublishQueue {
  readonly #broker: Broker
  readonly #options: PublishQueueOptions
  readonly #lanes = new Map<string, Waiting[]>()
  #size = 0

  constructor(broker: Broker, options: PublishQueueOptions) {
    this.#broker = broker
    this.#options = options
  }

  publish(message: Message, signal?: AbortSignal): Promise<Position> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#size >= this.#options.capacity) {
      return Promise.reject(
        new RealtimeError('REALTIME_ERR_OVERLOADED', 'too many publishes wait for Redis; slow down'),
      )
    }
    this.#size++
    const position = new Promise<Position>((resolve, reject) => {
      const name = this.#broker.lane(message)
      const lane = this.#lanes.get(name)
      if (lane) lane.push({ message, resolve, reject })
      else void this.#run(name, [{ message, resolve, reject }])
    })
    return raceAbort(position, signal)
  }

  async #run(name: string, lane: Waiting[]): Promise<void> {
    this.#lanes.set(name, lane)
    // Publishes of the same turn of the event loop travel together.
    await Promise.resolve()
    while (lane.length > 0) {
      const batch = lane.splice(0, batchOf(lane))
      await this.#store(grouped(batch))
      this.#size -= batch.length
    }
    this.#lanes.delete(name)
  }

  async #store(groups: readonly Group[]): Promise<void> {
    try {
      const appended = await this.#broker.append(groups.map(({ append }) => append))
      for (const [at, { waiting }] of groups.entries()) settle(waiting, appended[at])
    } catch (error) {
      for (const { waiting } of groups) for (const { reject } of waiting) reject(error)
    }
  }
}

/** How many of those that wait travel next. */
function batchOf(lane: readonly Waiting[]): number {
  let length = 0
  let count = 0
  for (const { message } of lane) {
    length += message.text.length
    if (count === MAX_BATCH || (count > 0 && length > MAX_BATCH_LENGTH)) break
    count++
  }
  return count
}

/** Neighbours in a room become one append; a message with a key of its own stays alone, to be told apart. */
function grouped(batch: readonly Waiting[]): readonly Group[] {
  const groups: Group[] = []
  const newest = new Map<string, Group>()
  for (const waiting of batch) {
    const { room, spec, text, key } = waiting.message
    const group = newest.get(room)
    if (group && group.append.key === undefined && key === undefined) {
      group.append.texts.push(text)
      group.waiting.push(waiting)
    } else {
      const opened = { append: { room, spec, texts: [text], key }, waiting: [waiting] }
      groups.push(opened)
      newest.set(room, opened)
    }
  }
  return groups
}

function settle(waiting: readonly Waiting[], appended: Appended | undefined): void {
  for (const [at, { resolve, reject }] of waiting.entries()) {
    if (!appended) reject(new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'Redis answered with too little'))
    else if (appended instanceof RealtimeError) reject(appended)
    else resolve({ epoch: appended.epoch, offset: appended.offset + at })
  }
}
