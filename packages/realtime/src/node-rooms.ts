import type { Broker, BrokerEvents, HistorySpec } from './broker.ts'
import type { Compression } from './frame.ts'
import { NodeRoom } from './node-room.ts'

export interface NodeRoomsOptions {
  /** The node's name in telemetry. */
  readonly instance: string
  /** Milliseconds between two looks at the end of each room's history: finds a loss nothing else shows. */
  readonly checkInterval: number
  /** Milliseconds a room without sockets stays subscribed, for those about to come back. */
  readonly linger: number
  readonly compression?: Compression | undefined
}

/** A room held by somebody; give it back exactly once. */
export interface Hold extends Disposable {
  readonly room: NodeRoom
}

interface Entry {
  readonly room: NodeRoom
  holds: number
  timer: NodeJS.Timeout | undefined
}

/**
 * The rooms this node follows: one subscription at the broker per room however many sockets are in it, and
 * one flush per turn of the event loop.
 */
export class NodeRooms {
  readonly #options: NodeRoomsOptions
  readonly #entries = new Map<string, Entry>()
  readonly #dirty = new Set<NodeRoom>()
  readonly #timer: NodeJS.Timeout
  #broker: Broker | undefined

  constructor(options: NodeRoomsOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#tend(), options.checkInterval)
    this.#timer.unref()
  }

  get size(): number {
    return this.#entries.size
  }

  /** What the broker calls; give it to the broker, then the broker to {@link use}. */
  readonly events: Omit<BrokerEvents, 'reconnected'> = {
    batch: (room, epoch, first, texts) => this.#entries.get(room)?.room.receive(epoch, first, texts),
    ephemeral: (room, text) => this.#entries.get(room)?.room.receiveEphemeral(text),
    resumed: (rooms) => {
      for (const room of rooms) void this.#entries.get(room)?.room.refresh()
    },
  }

  use(broker: Broker): void {
    this.#broker = broker
  }

  hold(key: string, wire: string, spec: HistorySpec, listener?: (text: string) => void): Hold {
    const broker = this.#broker
    if (!broker) throw new TypeError('NodeRooms: no broker yet')
    let entry = this.#entries.get(key)
    if (!entry) {
      const dirty = (room: NodeRoom) => this.#schedule(room)
      const { instance, compression } = this.#options
      const told = listener && { listener }
      const room = new NodeRoom({ key, wire, spec, broker, instance, compression, dirty, ...told })
      entry = { room, holds: 0, timer: undefined }
      this.#entries.set(key, entry)
    }
    entry.holds++
    clearTimeout(entry.timer)
    const held = entry
    let released = false
    return {
      room: entry.room,
      [Symbol.dispose]: () => {
        if (released) return
        released = true
        if (--held.holds === 0) this.#linger(key, held)
      },
    }
  }

  close(): void {
    clearInterval(this.#timer)
    for (const { room, timer } of this.#entries.values()) {
      clearTimeout(timer)
      room.close()
    }
    this.#entries.clear()
    this.#dirty.clear()
  }

  #linger(key: string, entry: Entry): void {
    entry.timer = setTimeout(() => {
      entry.room.close()
      this.#entries.delete(key)
      void this.#broker?.unsubscribe(key)
    }, this.#options.linger)
    entry.timer.unref()
  }

  #schedule(room: NodeRoom): void {
    if (this.#dirty.size === 0) setImmediate(() => this.#flush())
    this.#dirty.add(room)
  }

  #flush(): void {
    const rooms = [...this.#dirty]
    this.#dirty.clear()
    for (const room of rooms) room.flush()
  }

  #tend(): void {
    const now = Date.now()
    for (const { room } of this.#entries.values()) {
      room.tend(now)
      void room.refresh()
    }
  }
}
