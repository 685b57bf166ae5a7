import type { Append, Broker, BrokerEvents, BrokerHealth, EpochEnd, HistorySpec, Slice } from './broker.ts'
import { RealtimeError } from './errors.ts'
import { MemoryPresence } from './memory-presence.ts'
import { newEpoch, newSecret } from './new-epoch.ts'
import type { Position } from './protocol.ts'

/**
 * Rooms that several nodes and publishers of one process share, instead of a Redis: pass it to them as `memory`. For
 * tests; made by `sharedMemory` of `@cays/realtime/testing`.
 */
export interface SharedMemory {
  /** From now on it answers nobody, as a Redis that is down: publishes fail with `REALTIME_ERR_UNAVAILABLE`, joins wait. */
  down(): void
  /** It answers again, and still has everything. */
  up(): void
  /** Forgets the newest so many messages of every room, as a Redis that restarts without its last writes. */
  lose(messages: number): void
}

interface MemoryRoom {
  epoch: string
  previous: readonly EpochEnd[]
  readonly texts: string[]
  readonly keys: Map<string, { readonly offset: number; readonly until: number }>
  top: number
  touched: number
  spec: HistorySpec
}

/** A node, or a publisher, which has no events. */
interface Joined {
  readonly events: BrokerEvents | undefined
  readonly subscribed: Set<string>
}

const SWEEP = 10_000
const MOST_EPOCHS = 8

/**
 * Rooms of one process: the same order, numbering, history and dedupe as in Redis, and gone with the
 * process. Messages are told after the call that appended them has returned, as Redis would.
 */
export class MemoryRooms implements SharedMemory {
  readonly #rooms = new Map<string, MemoryRoom>()
  readonly #joined = new Set<Joined>()
  readonly #secret = newSecret()
  readonly #presence = new MemoryPresence((room, spec, texts) => this.#store(room, spec, texts))
  #timer: NodeJS.Timeout | undefined
  #away = false

  /** What a node needs of them; `window` is how long idempotency keys are remembered, in milliseconds. */
  join(window: number, events?: BrokerEvents): Broker {
    const joined: Joined = { events, subscribed: new Set() }
    this.#joined.add(joined)
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP).unref()
    const answering = <Arguments extends unknown[], Answer>(work: (...args: Arguments) => Answer) => {
      return async (...args: Arguments): Promise<Answer> => {
        if (this.#away) throw new RealtimeError('REALTIME_ERR_UNAVAILABLE', 'the memory is down')
        return work(...args)
      }
    }
    const presence = this.#presence
    return {
      presence: {
        change: answering((room, spec, node, changes) => presence.change(room, spec, node, changes)),
        roster: answering((room, spec) => presence.roster(room, spec)),
        knows: answering((...known) => presence.knows(...known)),
        renew: answering(() => ({ state: 'renewed', expired: [] })),
        bury: answering((node, spec) => presence.bury(node, spec)),
      },
      lane: () => '',
      append: answering((appends) => appends.map((append) => this.#append(append, window))),
      send: answering((room, text) => this.#tell(room, (to) => to.ephemeral(room, text))),
      subscribe: async (room) => void joined.subscribed.add(room),
      unsubscribe: async (room) => void joined.subscribed.delete(room),
      read: answering((room, spec, after) => this.#read(room, spec, after)),
      secret: answering(() => this.#secret),
      health: () => this.#health(),
      close: async () => {
        this.#joined.delete(joined)
        if (this.#joined.size > 0) return
        clearInterval(this.#timer)
        this.#timer = undefined
      },
    }
  }

  down(): void {
    this.#away = true
  }

  up(): void {
    this.#away = false
    for (const { events, subscribed } of this.#joined) {
      events?.resumed([...subscribed])
      events?.reconnected()
    }
  }

  lose(messages: number): void {
    for (const room of this.#rooms.values()) {
      const top = Math.max(0, room.top - messages)
      const { epoch } = room.previous.find((end) => end.top >= top) ?? room
      const earlier = room.previous.filter((end) => end.top < top)
      room.previous = [...earlier, { epoch, top }].slice(-MOST_EPOCHS)
      room.epoch = newEpoch()
      room.texts.splice(Math.max(0, room.texts.length - (room.top - top)))
      for (const [key, { offset }] of room.keys) if (offset > top) room.keys.delete(key)
      room.top = top
    }
    this.up()
  }

  #room(name: string, spec: HistorySpec): MemoryRoom {
    let room = this.#rooms.get(name)
    if (!room) {
      const touched = Date.now()
      room = { epoch: newEpoch(), previous: [], texts: [], keys: new Map(), top: 0, touched, spec }
      this.#rooms.set(name, room)
    }
    room.spec = spec
    return room
  }

  #append({ room: name, spec, key, texts }: Append, window: number): Position {
    const room = this.#room(name, spec)
    const now = Date.now()
    const seen = key === undefined ? undefined : room.keys.get(key)
    if (seen && seen.until > now) return { epoch: room.epoch, offset: seen.offset }
    const offset = room.top + 1
    if (key !== undefined) room.keys.set(key, { offset, until: now + window })
    this.#store(name, spec, texts)
    return { epoch: room.epoch, offset }
  }

  // Answers the room's position behind what was stored.
  #store(name: string, spec: HistorySpec, texts: readonly string[]): Position {
    const room = this.#room(name, spec)
    const { epoch } = room
    const first = room.top + 1
    room.top += texts.length
    room.texts.push(...texts)
    room.texts.splice(0, Math.max(0, room.texts.length - spec.size))
    room.touched = Date.now()
    if (texts.length > 0) this.#tell(name, (to) => to.batch(name, epoch, first, texts))
    return { epoch, offset: room.top }
  }

  #tell(name: string, tell: (to: BrokerEvents) => void): void {
    queueMicrotask(() => {
      for (const { events, subscribed } of this.#joined) {
        if (events && !this.#away && subscribed.has(name)) tell(events)
      }
    })
  }

  #read(name: string, spec: HistorySpec, after: number | undefined): Slice {
    const { epoch, top, previous, texts } = this.#room(name, spec)
    const oldest = top - texts.length + 1
    const first = after === undefined ? top + 1 : Math.max(after + 1, oldest)
    return { epoch, top, previous, first, texts: texts.slice(first - oldest) }
  }

  #health(): BrokerHealth {
    const state = this.#away ? 'down' : 'up'
    return { kind: 'memory', commands: state, subscriber: state, epochGuard: true }
  }

  #sweep(): void {
    const now = Date.now()
    for (const [name, room] of this.#rooms) {
      for (const [key, { until }] of room.keys) if (until <= now) room.keys.delete(key)
      const { touched, spec } = room
      if (now - touched > spec.ttl) room.texts.length = 0
      const followed = [...this.#joined].some(({ subscribed }) => subscribed.has(name))
      if (now - touched > Math.max(86_400_000, 2 * spec.ttl) && !followed) this.#rooms.delete(name)
    }
  }
}
