import type { Append, Broker, BrokerEvents, BrokerHealth, EpochEnd, HistorySpec, Slice } from './broker.ts'
import { memoryPresence } from './memory-presence.ts'
import { newEpoch, newSecret } from './new-epoch.ts'
import type { Position } from './protocol.ts'

interface MemoryRoom {
  readonly epoch: string
  readonly previous: readonly EpochEnd[]
  readonly texts: string[]
  readonly keys: Map<string, { readonly offset: number; readonly until: number }>
  top: number
  touched: number
}

const SWEEP = 10_000

/**
 * Rooms of one process: the same order, numbering, history and dedupe as in Redis, and gone with the
 * process. Messages are told after the call that appended them has returned, as Redis would.
 */
export function memoryBroker(window: number, events?: BrokerEvents): Broker {
  const rooms = new Map<string, MemoryRoom>()
  const subscribed = new Set<string>()
  const lives = new Map<string, HistorySpec>()
  const secret = newSecret()
  const timer = setInterval(sweep, SWEEP)
  timer.unref()

  function roomOf(name: string, spec: HistorySpec): MemoryRoom {
    let room = rooms.get(name)
    if (!room) {
      room = { epoch: newEpoch(), previous: [], texts: [], keys: new Map(), top: 0, touched: Date.now() }
      rooms.set(name, room)
    }
    lives.set(name, spec)
    return room
  }

  function sweep(): void {
    const now = Date.now()
    for (const [name, room] of rooms) {
      for (const [key, { until }] of room.keys) if (until <= now) room.keys.delete(key)
      const ttl = lives.get(name)?.ttl ?? 0
      if (now - room.touched > ttl) room.texts.length = 0
      if (now - room.touched > Math.max(86_400_000, 2 * ttl) && !subscribed.has(name)) {
        rooms.delete(name)
        lives.delete(name)
      }
    }
  }

  function appendOne({ room: name, spec, key, texts }: Append): Position {
    const room = roomOf(name, spec)
    const now = Date.now()
    const seen = key === undefined ? undefined : room.keys.get(key)
    if (seen && seen.until > now) return { epoch: room.epoch, offset: seen.offset }
    const offset = room.top + 1
    if (key !== undefined) room.keys.set(key, { offset, until: now + window })
    room.top += texts.length
    room.texts.push(...texts)
    tell(name, room, spec, offset, texts)
    return { epoch: room.epoch, offset }
  }

  // What was appended from `first` on: trims what is too old, tells what is new.
  function tell(
    name: string,
    room: MemoryRoom,
    spec: HistorySpec,
    first: number,
    texts: readonly string[],
  ): void {
    room.texts.splice(0, Math.max(0, room.texts.length - spec.size))
    room.touched = Date.now()
    if (texts.length === 0) return
    queueMicrotask(() => {
      if (subscribed.has(name)) events?.batch(name, room.epoch, first, texts)
    })
  }

  return {
    presence: memoryPresence((name, spec, texts) => {
      const room = roomOf(name, spec)
      const first = room.top + 1
      room.top += texts.length
      room.texts.push(...texts)
      tell(name, room, spec, first, texts)
      return { epoch: room.epoch, offset: room.top }
    }),
    lane: () => '',
    append: async (appends) => appends.map(appendOne),
    async send(name, text) {
      queueMicrotask(() => {
        if (subscribed.has(name)) events?.ephemeral(name, text)
      })
    },
    async subscribe(name) {
      subscribed.add(name)
    },
    async unsubscribe(name) {
      subscribed.delete(name)
    },
    async read(name, spec, after): Promise<Slice> {
      const room = roomOf(name, spec)
      const oldest = room.top - room.texts.length + 1
      const first = after === undefined ? room.top + 1 : Math.max(after + 1, oldest)
      const texts = room.texts.slice(first - oldest)
      return { epoch: room.epoch, top: room.top, previous: room.previous, first, texts }
    },
    secret: async () => secret,
    health: (): BrokerHealth => ({ kind: 'memory', commands: 'up', subscriber: 'up', epochGuard: true }),
    async close() {
      clearInterval(timer)
      rooms.clear()
      lives.clear()
    },
  }
}
