import { connect, type Socket } from 'node:net'
import { FaultLane, type LaneFaults, resetSocket } from './fault-lane.ts'

/** From the client to the server, or back. */
export type FaultDirection = 'toServer' | 'toClient'

export interface FaultConnectionOptions {
  readonly target: { readonly host: string; readonly port: number }
  readonly faults: (direction: FaultDirection) => Readonly<LaneFaults>
  readonly capacity: number
  readonly random: () => number
  readonly passed: (direction: FaultDirection, bytes: number) => void
  readonly closed: () => void
}

// How long a side that was sent a FIN may take to answer with its own.
const LINGER = 1_000

/** One client, its connection to the server, and the two lanes between them. */
export class FaultConnection {
  readonly #options: FaultConnectionOptions
  readonly #client: Socket
  readonly #toServer: FaultLane
  #server: Socket | undefined
  #toClient: FaultLane | undefined

  constructor(client: Socket, options: FaultConnectionOptions) {
    this.#client = client
    this.#options = options
    client.setNoDelay(true)
    this.#toServer = this.#lane(client, 'toServer')
    client.once('close', () => this.#socketClosed())
    this.#reach()
  }

  get held(): number {
    return this.#toServer.held + (this.#toClient?.held ?? 0)
  }

  /** Tells the lanes of changed faults. */
  refresh(): void {
    this.#reach()
    this.#toServer.set(this.#options.faults('toServer'))
    this.#toClient?.set(this.#options.faults('toClient'))
  }

  /** Ends both sides in good order (FIN) and drops what was under way. */
  cut(): void {
    this.#stop()
    for (const socket of this.#sockets()) {
      socket.end()
      setTimeout(() => socket.destroy(), LINGER).unref()
    }
  }

  /** Resets both sides (RST) and drops what was under way. */
  reset(): void {
    this.#stop()
    for (const socket of this.#sockets()) resetSocket(socket)
  }

  // A connection attempt is the first thing that a black hole on the way to the server swallows.
  #reach(): void {
    const { target, faults } = this.#options
    if (this.#server || this.#client.destroyed || faults('toServer').blackhole) return
    const server = connect({ ...target, noDelay: true, allowHalfOpen: true })
    this.#server = server
    this.#toClient = this.#lane(server, 'toClient')
    this.#toClient.open(this.#client)
    server.once('connect', () => this.#toServer.open(server))
    server.once('close', () => this.#socketClosed())
  }

  #lane(source: Socket, direction: FaultDirection): FaultLane {
    const { faults, capacity, random, passed } = this.#options
    return new FaultLane(source, {
      faults: faults(direction),
      capacity,
      random,
      passed: (bytes) => passed(direction, bytes),
      spent: () => this.reset(),
    })
  }

  #stop(): void {
    this.#toServer.stop()
    this.#toClient?.stop()
  }

  #sockets(): readonly Socket[] {
    return [this.#client, this.#server].filter((socket) => socket !== undefined)
  }

  #socketClosed(): void {
    if (this.#sockets().every((socket) => socket.destroyed)) {
      this.#stop()
      this.#options.closed()
    }
  }
}
