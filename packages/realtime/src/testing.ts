import type { WebSocketConstructor, WebSocketLike } from './client-link.ts'
import { MemoryRooms, type SharedMemory } from './memory-rooms.ts'

export type { WebSocketConstructor, WebSocketLike } from './client-link.ts'
export type { SharedMemory } from './memory-rooms.ts'

const ABNORMAL = 1006
const CLOSED = 3

/** What one reader was given: numbers that count up, and where a gap was announced. */
export interface SeenSequence {
  /** In the order they came; the publisher counted them up by one. */
  readonly numbers: readonly number[]
  /** `after`: how many numbers had come when the gap was announced. */
  readonly gaps?: readonly { readonly after: number }[]
}

/**
 * Checks the promise of this package on what a client of yours saw: numbers that are missing, repeated or out
 * of order without a gap announced in between. Empty when all is well.
 *
 * @example
 * room.on('n', (n) => numbers.push(n))
 * room.onGap(() => gaps.push({ after: numbers.length }))
 * // cut, kill, wait …
 * expect(sequenceFaults({ numbers, gaps })).toEqual([])
 */
export function sequenceFaults({ numbers, gaps = [] }: SeenSequence): readonly string[] {
  const faults: string[] = []
  for (let at = 1; at < numbers.length; at++) {
    const [before = 0, now = 0] = [numbers[at - 1], numbers[at]]
    const announced = gaps.some(({ after }) => after === at)
    if (now === before + 1 || (announced && now > before)) continue
    faults.push(`${now} follows ${before} at ${at}`)
  }
  return faults
}

/**
 * Rooms that several nodes and publishers of one process share, so that a test of your own app can run them without
 * a Redis: the same order, history, recovery and presence. It can be away, and lose what it was told last.
 *
 * @example
 * const memory = sharedMemory()
 * const nodes = [createRealtime({ memory, ...options }), createRealtime({ memory, ...options })]
 */
export function sharedMemory(): SharedMemory {
  return new MemoryRooms()
}

/** A network that misbehaves on demand; see {@link faultyNetwork}. */
export interface FaultyNetwork {
  /** Pass it to `createClient`. */
  readonly WebSocket: WebSocketConstructor
  /** Connections that are open now. */
  readonly connections: number
  /** Breaks connections without a goodbye, each with this chance; answers how many. @default all */
  cut(share?: number): number
  /** From now on each frame takes so many milliseconds longer, in both directions; the order is kept. */
  lag(milliseconds: number): void
  /** Breaks every connection and lets none be opened until `up`. */
  down(): void
  /** Lets connections be opened again. */
  up(): void
}

/**
 * A network between clients and servers of one process, for tests of your own app: hand its `WebSocket` to
 * `createClient`, and cut, slow down or stop it. `random` can be seeded.
 *
 * @example
 * const network = faultyNetwork(WebSocket)
 * const client = createClient({ url, WebSocket: network.WebSocket })
 * network.cut()
 */
export function faultyNetwork(
  Socket: WebSocketConstructor,
  random: () => number = Math.random,
): FaultyNetwork {
  const open = new Set<FaultySocket>()
  let delay = 0
  let down = false
  class Faulty extends FaultySocket {
    constructor(url: string, protocols?: string | string[]) {
      super(down ? undefined : new Socket(url, protocols), () => delay)
      open.add(this)
      this.ended = () => open.delete(this)
    }
  }
  const cut = (share = 1) => {
    const chosen = [...open].filter(() => random() < share)
    for (const socket of chosen) socket.cut()
    return chosen.length
  }
  return {
    WebSocket: Faulty,
    get connections() {
      return open.size
    },
    cut,
    lag: (milliseconds) => {
      delay = milliseconds
    },
    down: () => {
      down = true
      cut()
    },
    up: () => {
      down = false
    },
  }
}

class FaultySocket implements WebSocketLike {
  onopen: ((event: never) => void) | null = null
  onmessage: ((event: never) => void) | null = null
  onclose: ((event: never) => void) | null = null
  onerror: ((event: never) => void) | null = null
  ended: () => void = () => {}
  readonly #socket: WebSocketLike | undefined
  readonly #delay: () => number
  #last = 0
  #cut = false

  constructor(socket: WebSocketLike | undefined, delay: () => number) {
    this.#socket = socket
    this.#delay = delay
    if (!socket) {
      setTimeout(() => this.cut())
      return
    }
    socket.onopen = (event) => this.#later(() => this.onopen?.(event))
    socket.onmessage = (event) => this.#later(() => this.onmessage?.(event))
    socket.onerror = (event) => this.#later(() => this.onerror?.(event))
    socket.onclose = (event) =>
      this.#later(() => {
        this.ended()
        this.onclose?.(event)
      })
  }

  get readyState(): number {
    return this.#cut ? CLOSED : (this.#socket?.readyState ?? 0)
  }

  send(data: string): void {
    this.#later(() => {
      if (this.#socket?.readyState === 1) this.#socket.send(data)
    })
  }

  close(code?: number, reason?: string): void {
    this.#later(() => this.#socket?.close(code, reason))
  }

  cut(): void {
    if (this.#cut) return
    this.#cut = true
    this.ended()
    // The other side learns of it as of any broken connection.
    const socket = this.#socket as (WebSocketLike & { terminate?: () => void }) | undefined
    if (socket?.terminate) socket.terminate()
    else socket?.close()
    this.onclose?.({ code: ABNORMAL, reason: '' } as never)
  }

  // A frame never overtakes the one before it.
  #later(work: () => void): void {
    const now = Date.now()
    const delay = this.#delay()
    if (delay === 0 && this.#last <= now) {
      if (!this.#cut) work()
      return
    }
    this.#last = Math.max(this.#last, now + delay)
    setTimeout(() => {
      if (!this.#cut) work()
    }, this.#last - now)
  }
}
