import { Client } from './client-core.ts'
import type { ClientOptions, RealtimeClient } from './client-types.ts'
import type { Contract } from './contract.ts'

export {
  RealtimeClientError,
  type RealtimeClientErrorCode,
  type RealtimeClientErrorDetails,
} from './client-error.ts'
export type { EventMeta, RoomEvent, RoomHandle, RoomHandleOptions, RoomState } from './client-handle.ts'
export type { WebSocketConstructor, WebSocketLike } from './client-link.ts'
export type { PresenceHandle } from './client-presence.ts'
export type { Gap, MessageMeta, RoomStatus } from './client-room.ts'
export type {
  CallOptions,
  ClientOptions,
  ClientStatus,
  RealtimeClient,
  TokenRequest,
} from './client-types.ts'
export type { GapReason, Position, PresenceMember } from './protocol.ts'

/** Creates a client; nothing is connected yet. */
export function createClient<C extends Contract = Contract>(options: ClientOptions): RealtimeClient<C> {
  return new Client(options) as unknown as RealtimeClient<C>
}
