import type { Socket } from 'node:net'

/** Faults of one direction, resolved: milliseconds, bytes, bytes per second. */
export interface LaneFaults {
  latency: number
  jitter: number
  bandwidth: number
  dripBytes: number
  dripEvery: number
  blackhole: boolean
  cutAfter: number
}

export const NO_FAULTS: Readonly<LaneFaults> = {
  latency: 0,
  jitter: 0,
  bandwidth: Number.POSITIVE_INFINITY,
  dripBytes: Number.POSITIVE_INFINITY,
  dripEvery: 0,
  blackhole: false,
  cutAfter: Number.POSITIVE_INFINITY,
}

export interface LaneOptions {
  readonly faults: Readonly<LaneFaults>
  /** Bytes held back before the source is no longer read. */
  readonly capacity: number
  readonly random: () => number
  readonly passed: (bytes: number) => void
  /** Called when `cutAfter` bytes have passed. */
  readonly spent: () => void
}

interface Parcel {
  /** The bytes, or how the source closed: an end of stream (FIN) or a reset (RST). */
  content: Buffer | 'fin' | 'rst'
  readonly arrived: number
  readonly luck: number
}

// With a bandwidth, what a hundredth of a second carries goes out at once.
const SLICES_PER_SECOND = 100

/**
 * One direction of one connection: what comes from the source waits its time and goes to the destination, in
 * order, the end of the stream too. Faults count from when they are set, also for what already waits.
 */
export class FaultLane {
  readonly #source: Socket
  readonly #options: LaneOptions
  readonly #queue: Parcel[] = []
  #destination: Socket | undefined
  #held = 0
  #faults: Readonly<LaneFaults>
  #passedSinceSet = 0
  #free = 0
  #timer: NodeJS.Timeout | undefined
  #draining = false
  #stopped = false

  constructor(source: Socket, options: LaneOptions) {
    this.#source = source
    this.#options = options
    this.#faults = options.faults
    source.on('data', (chunk: Buffer) => this.#arrive(chunk))
    source.once('end', () => this.#arrive('fin'))
    source.on('error', () => this.#arrive('rst'))
  }

  /** Bytes that wait here. */
  get held(): number {
    return this.#held
  }

  /** From now on parcels can be delivered. */
  open(destination: Socket): void {
    this.#destination = destination
    destination.on('drain', () => {
      this.#draining = false
      this.#deliver()
    })
    this.#deliver()
  }

  set(faults: Readonly<LaneFaults>): void {
    if (faults.cutAfter !== this.#faults.cutAfter) this.#passedSinceSet = 0
    this.#faults = faults
    this.#free = 0
    this.#deliver()
  }

  /** Drops what waits and delivers no more; what still arrives is read and dropped. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#queue.length = 0
    this.#held = 0
    this.#source.resume()
  }

  #arrive(content: Parcel['content']): void {
    if (this.#stopped) return
    this.#queue.push({ content, arrived: performance.now(), luck: this.#options.random() })
    if (typeof content !== 'string') this.#held += content.length
    if (this.#held >= this.#options.capacity) this.#source.pause()
    this.#deliver()
  }

  #deliver(): void {
    clearTimeout(this.#timer)
    while (!this.#stopped && !this.#draining && !this.#faults.blackhole) {
      const [parcel] = this.#queue
      const destination = this.#destination
      if (!parcel || !destination) return
      const now = performance.now()
      const due = Math.max(
        parcel.arrived + this.#faults.latency + parcel.luck * this.#faults.jitter,
        this.#free,
      )
      // A timer may fire a fraction of a millisecond early.
      if (due - now > 0.5) {
        this.#timer = setTimeout(() => this.#deliver(), Math.ceil(due - now))
        return
      }
      if (typeof parcel.content === 'string') {
        this.#queue.shift()
        if (parcel.content === 'fin') destination.end()
        else resetSocket(destination)
      } else this.#send(parcel, parcel.content, destination, now)
    }
  }

  #send(parcel: Parcel, content: Buffer, destination: Socket, now: number): void {
    const { bandwidth, dripBytes, dripEvery, cutAfter } = this.#faults
    const left = cutAfter - this.#passedSinceSet
    const size = Math.min(
      content.length,
      Math.max(1, Math.ceil(bandwidth / SLICES_PER_SECOND)),
      dripBytes,
      left,
    )
    const slice = content.subarray(0, size)
    if (size === content.length) this.#queue.shift()
    else parcel.content = content.subarray(size)
    this.#held -= size
    this.#passedSinceSet += size
    this.#free = Math.max(now, this.#free) + Math.max((size / bandwidth) * 1_000, dripEvery)
    this.#options.passed(size)
    if (size > 0 && !destination.destroyed && !destination.write(slice)) this.#draining = true
    if (this.#held < this.#options.capacity / 2) this.#source.resume()
    if (size === left) this.#options.spent()
  }
}

/** Ends the socket with a RST; one that is not connected yet, silently. */
export function resetSocket(socket: Socket): void {
  if (socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}
