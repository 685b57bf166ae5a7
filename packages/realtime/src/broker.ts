import type { RealtimeError } from './errors.ts'
import type { PresenceStore } from './presence-store.ts'
import type { Position } from './protocol.ts'

/** How much of a room is kept, in milliseconds and messages. */
export interface HistorySpec {
  readonly size: number
  readonly ttl: number
}

/** Messages on their way into a room. */
export interface Append {
  readonly room: string
  readonly spec: HistorySpec
  /** `"event",data` as JSON text without newlines: what every frame and every history entry holds. */
  readonly texts: readonly string[]
  /** Two appends to a room with the same key, for as long as it is remembered, are one. Goes with a single text. */
  readonly key?: string | undefined
}

/** The position of an append's first message, or why nothing of it was stored. */
export type Appended = Position | RealtimeError

/** The end of an earlier epoch: what a reader of it shares with the present one. */
export interface EpochEnd {
  readonly epoch: string
  readonly top: number
}

/** What a room's history holds after an offset, read in one step. */
export interface Slice {
  readonly epoch: string
  /** Offset of the newest message; 0 in a new room. */
  readonly top: number
  readonly previous: readonly EpochEnd[]
  /** Offset of the first text, when there is one. */
  readonly first: number
  /** Contiguous from `first` to `top`. */
  readonly texts: readonly string[]
}

/** What a broker tells its node. */
export interface BrokerEvents {
  /** New messages of a room, contiguous from `first`; in the order of the room, but some may never come. */
  batch(room: string, epoch: string, first: number, texts: readonly string[]): void
  /** A message without an offset. */
  ephemeral(room: string, text: string): void
  /** The flow of messages was interrupted and is back: whatever came between has to be read. */
  resumed(rooms: readonly string[]): void
  /** What was written may be gone: a server was away. */
  reconnected(): void
}

/** Whether the place where rooms live can be reached. */
export interface BrokerHealth {
  readonly kind: 'memory' | 'redis'
  readonly commands: 'up' | 'down'
  readonly subscriber: 'up' | 'down'
  /** False when the server's identity cannot be read (INFO denied): a lost tail then goes unnoticed. */
  readonly epochGuard: boolean
}

/**
 * Where rooms live: memory for one process, Redis for many. A broker orders messages, numbers them, keeps
 * the newest, and drops a repeated key; nodes deliver only what comes back from it.
 */
export interface Broker {
  readonly presence: PresenceStore
  /** Appends of one lane may travel together. */
  lane(append: Pick<Append, 'room' | 'spec'>): string
  /**
   * Appends of one lane, in order; a repeated key gives the position of the first time. Each is stored
   * at most once, however often Redis has to be asked; when the call fails, any of them may be stored.
   */
  append(appends: readonly Append[]): Promise<readonly Appended[]>
  send(room: string, text: string): Promise<void>
  /** Resolves when every later message will be told, so that a read after it cannot miss one. */
  subscribe(room: string): Promise<void>
  unsubscribe(room: string): Promise<void>
  /** Reads what follows an offset; `undefined` reads the position alone. Creates the room's epoch when new. */
  read(room: string, spec: HistorySpec, after: number | undefined): Promise<Slice>
  /** Something random that all nodes agree on, and that nobody else can know. */
  secret(): Promise<string>
  health(): BrokerHealth
  close(): Promise<void>
}
