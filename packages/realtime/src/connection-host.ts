import type { Connection } from './connection.ts'
import type { NodePresence } from './node-presence.ts'
import type { Hold } from './node-rooms.ts'
import type { AuthenticateAttempt, AuthorizeRule, Identity } from './options.ts'
import type { Position } from './protocol.ts'
import type { ResolvedLimits } from './resolve-options.ts'
import type { PublishOptions } from './room-publisher.ts'
import type { FoundRoom, RoomAddress } from './room-registry.ts'

/** What the handler of a method knows about its caller. */
export interface CallContext<Who extends Identity = Identity> {
  readonly who: Who
  /** The connection's id, as the client knows it. */
  readonly connection: string
  /** Aborts when the caller cancels, times out or disconnects. */
  readonly signal: AbortSignal
}

/** How a failure is told to a client: never more than a code and a sentence of ours. */
export interface ToldFailure {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}

/** What a connection needs of its node. */
export interface ConnectionHost<Who extends Identity> {
  readonly node: string
  readonly heartbeat: number
  readonly limits: ResolvedLimits
  authenticate(attempt: AuthenticateAttempt): Who | null | Promise<Who | null>
  /** False when the user has too many connections. */
  admit(connection: Connection<Who>, userId: string): boolean
  left(connection: Connection<Who>): void
  readonly presence: NodePresence
  match(room: string): FoundRoom | undefined
  userRoom(userId: string): RoomAddress
  rule(pattern: string): AuthorizeRule<never, never> | undefined
  hold(address: RoomAddress, wire: string): Hold
  publish(address: RoomAddress, event: string, data: unknown, options: PublishOptions): Promise<Position>
  call(method: string, input: unknown, context: CallContext<Who>): Promise<unknown>
  /** Something of the app threw. */
  failed(where: 'authenticate' | 'authorize' | 'call', error: unknown): void
  tell(error: unknown): ToldFailure
}
