import { backoff } from '@cays/core/backoff'
import { RealtimeClientError } from './client-error.ts'
import type { ClientRoom, Gap, MessageMeta, RoomStatus } from './client-room.ts'
import { Signal } from './client-signal.ts'
import type { EventInput, EventName, EventOutput } from './contract.ts'
import type { Position } from './protocol.ts'

/** What came with a message. */
export type EventMeta = MessageMeta

/** What `getState` answers: the state, and the room's position read before it. */
export interface RoomState<State> {
  readonly state: State
  /** From the server's `room().position()`. Without it every message since joining follows the state. */
  readonly position?: Position
}

/** How a room's state and its messages are brought together. */
export interface RoomHandleOptions<State> {
  /**
   * Loads the state the room's messages build on. Asked after joining and after each gap; messages wait
   * meanwhile, and those the state already holds are left out. Retried until it answers.
   */
  readonly getState?: (context: { readonly signal: AbortSignal }) => Promise<RoomState<State>>
}

/** One message, as the iterator gives it. */
export type RoomEvent<Events> = {
  [Name in EventName<Events>]: {
    readonly event: Name
    readonly data: EventOutput<Events, Name>
    readonly meta: EventMeta
  }
}[EventName<Events>]

/** A room in the app's hands; each listener's returned function removes it. */
export interface RoomHandle<Events, State = unknown> {
  readonly status: RoomStatus
  readonly position: Position | undefined
  /** Calls `listener` for each message of that event, in order, each once. */
  on<Name extends EventName<Events>>(
    event: Name,
    listener: (data: EventOutput<Events, Name>, meta: EventMeta) => void,
  ): () => void
  /** Calls `listener` at each change of `status`. */
  onStatus(listener: (status: RoomStatus) => void): () => void
  /** Messages are gone that nobody can bring back; with `getState` the state is loaded anew by itself. */
  onGap(listener: (gap: Gap) => void): () => void
  /** The state was loaded; messages that follow build on it. */
  onState(listener: (state: State) => void): () => void
  /** Every message from now on, in order. Ends with the handle or the signal; throws when 1,000 wait unread. */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<RoomEvent<Events>>
  /**
   * Publishes as this user. While offline it waits in a bounded queue; sent again after a lost connection,
   * and stored once. Resolves with the position, or `null` for an ephemeral event.
   */
  publish<Name extends EventName<Events>>(
    event: Name,
    data: EventInput<Events, Name>,
    options?: { readonly idempotencyKey?: string; readonly signal?: AbortSignal },
  ): Promise<Position | null>
  /** Says it if connected and forgets it: for cursors and typing. */
  send<Name extends EventName<Events>>(event: Name, data: EventInput<Events, Name>): void
  /** Removes every listener of this handle; the last handle of a room leaves it. */
  close(): void
}

export interface HandleActions {
  publish(
    event: string,
    data: unknown,
    options?: { readonly idempotencyKey?: string; readonly signal?: AbortSignal },
  ): Promise<Position | null>
  send(event: string, data: unknown): void
  left(): void
}

type Message = readonly [event: string, data: unknown, meta: MessageMeta]

const MAX_WAITING = 1_000

export class ClientHandle {
  readonly #room: ClientRoom
  readonly #getState: RoomHandleOptions<unknown>['getState']
  readonly #actions: HandleActions
  readonly #messages = new Signal<Message>()
  readonly #states = new Signal<[state: unknown]>()
  readonly #gaps = new Signal<[gap: Gap]>()
  readonly #controller = new AbortController()
  readonly #removals: (() => void)[]
  // Messages that wait for the state; undefined while none is being loaded.
  #waiting: Message[] | undefined

  constructor(room: ClientRoom, options: RoomHandleOptions<unknown>, actions: HandleActions) {
    this.#room = room
    this.#getState = options.getState
    this.#actions = actions
    room.holders++
    this.#removals = [
      room.events.add((...message) => this.#message(message)),
      room.gaps.add((gap) => {
        this.#gaps.emit(gap)
        void this.#load()
      }),
      room.fresh.add(() => void this.#load()),
    ]
    if (room.position) void this.#load()
  }

  get status(): RoomStatus {
    return this.#controller.signal.aborted ? 'closed' : this.#room.status
  }

  get position(): Position | undefined {
    return this.#room.position
  }

  on(event: string, listener: (data: unknown, meta: MessageMeta) => void): () => void {
    return this.#messages.add((name, data, meta) => {
      if (name === event) listener(data, meta)
    })
  }

  onStatus(listener: (status: RoomStatus) => void): () => void {
    return this.#own(this.#room.statuses.add(listener))
  }

  onGap(listener: (gap: Gap) => void): () => void {
    return this.#gaps.add(listener)
  }

  onState(listener: (state: unknown) => void): () => void {
    return this.#states.add(listener)
  }

  async *events(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<unknown> {
    const { signal } = options
    const queue: unknown[] = []
    let wake = () => {}
    let failure: RealtimeClientError | undefined
    const poke = () => wake()
    const remove = this.#messages.add((event, data, meta) => {
      if (queue.length < MAX_WAITING) queue.push({ event, data, meta })
      else failure = new RealtimeClientError('REALTIME_ERR_QUEUE_FULL', 'the reader is too slow')
      wake()
    })
    const signals = [this.#controller.signal, ...(signal ? [signal] : [])]
    for (const one of signals) one.addEventListener('abort', poke)
    try {
      for (;;) {
        while (queue.length > 0) yield queue.shift()
        if (failure) throw failure
        if (signals.some((one) => one.aborted)) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      remove()
      for (const one of signals) one.removeEventListener('abort', poke)
    }
  }

  publish(event: string, data: unknown, options?: Parameters<HandleActions['publish']>[2]) {
    return this.#actions.publish(event, data, options)
  }

  send(event: string, data: unknown): void {
    this.#actions.send(event, data)
  }

  close(): void {
    if (this.#controller.signal.aborted) return
    this.#controller.abort()
    for (const remove of this.#removals) remove()
    this.#room.holders--
    this.#actions.left()
  }

  #own(remove: () => void): () => void {
    this.#removals.push(remove)
    return remove
  }

  #message(message: Message): void {
    if (!this.#waiting) this.#messages.emit(...message)
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(message)
    // The state that is being loaded would be too old to follow: load a newer one.
    else void this.#load()
  }

  async #load(): Promise<void> {
    const getState = this.#getState
    if (!getState) return
    const waiting: Message[] = []
    this.#waiting = waiting
    const { signal } = this.#controller
    for (let attempt = 0; !signal.aborted && this.#waiting === waiting; attempt++) {
      try {
        const loaded = await getState({ signal })
        if (signal.aborted || this.#waiting !== waiting) return
        this.#waiting = undefined
        this.#states.emit(loaded.state)
        for (const message of waiting) {
          if (!isWithin(message[2], loaded.position)) this.#messages.emit(...message)
        }
        return
      } catch {
        await new Promise((resolve) => setTimeout(resolve, backoff(attempt, { base: 500, cap: 20_000 })))
      }
    }
  }
}

function isWithin(meta: MessageMeta, position: Position | undefined): boolean {
  return (
    position !== undefined &&
    meta.epoch === position.epoch &&
    meta.offset <= position.offset &&
    meta.offset > 0
  )
}
