import type { Duration } from '@cays/core/duration'
import type { RealtimeClientError } from './client-error.ts'
import type { RoomHandle, RoomHandleOptions } from './client-handle.ts'
import type { WebSocketConstructor } from './client-link.ts'
import type { PresenceHandle } from './client-presence.ts'
import type { Contract, MethodArgument, MethodName, MethodOutput, RoomPattern } from './contract.ts'
import type { UserRoom } from './create-publisher.ts'
import type { ParamsArgument } from './room-publisher.ts'

/** Why the client asks for a token. */
export interface TokenRequest {
  /** `expired`: the server refused the last token as too old. `refresh`: the present one ends soon. */
  readonly reason: 'connect' | 'expired' | 'refresh'
  readonly signal: AbortSignal
}

/** Where a client connects, as whom, and how patiently. */
export interface ClientOptions {
  /** `wss://app.example/rt`; a function is asked before each connection. */
  readonly url: string | (() => string | Promise<string>)
  /** Asked before each connection and before a token ends. Leave it out when cookies say enough. */
  readonly getToken?: (request: TokenRequest) => string | Promise<string>
  /** Told to the server's `authenticate`, unverified. */
  readonly info?: unknown
  /** Needed where the platform has none: Node 20. Pass `WebSocket` from `ws`. */
  readonly WebSocket?: WebSocketConstructor
  /** Waits between connection attempts, with full jitter. @default { base: '500ms', cap: '20s' } */
  readonly backoff?: { readonly base?: Duration; readonly cap?: Duration }
  /** Publishes that may wait while offline, and how long. @default { size: 100, ttl: '30s' } */
  readonly queue?: { readonly size?: number; readonly ttl?: Duration }
  /** How long a connection may take until it is usable. @default '10s' */
  readonly timeout?: Duration
}

/** `stopped`: the server ended the connection for good; `error` says why. */
export type ClientStatus = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'closed'

/** Limits of one call. */
export interface CallOptions {
  /** @default '10s' */
  readonly timeout?: Duration
  readonly signal?: AbortSignal
}

/** A client of the realtime service; see {@link createClient}. */
export interface RealtimeClient<C extends Contract> extends AsyncDisposable {
  readonly status: ClientStatus
  /** Why the client stopped. */
  readonly error: RealtimeClientError | undefined
  /** Calls `listener` at each change of `status`; the answer removes it. */
  onStatus(listener: (status: ClientStatus) => void): () => void
  /** Connects; happens by itself with the first room or call. Resolves when connected for the first time. */
  connect(): Promise<void>
  /** Joins a room. Handles of one room share its subscription; the last one closed leaves it. */
  room<Pattern extends RoomPattern<C>, State = unknown>(
    pattern: Pattern,
    params?: ParamsArgument<Pattern>[0],
    options?: RoomHandleOptions<State>,
  ): RoomHandle<C['rooms'][Pattern], State>
  /** Watches who is in a room, and enters it; needs no `room` beside it. */
  presence<Pattern extends RoomPattern<C>>(
    pattern: Pattern,
    params?: ParamsArgument<Pattern>[0],
  ): PresenceHandle<C['rooms'][Pattern]>
  /** Messages for the connected user, on all devices. */
  user(): RoomHandle<UserRoom<C>>
  /**
   * Calls a method once: when the connection is lost before the answer it rejects with
   * `REALTIME_ERR_DISCONNECTED` and is not repeated.
   */
  call<Method extends MethodName<C>>(
    method: Method,
    input: MethodArgument<C, Method>,
    options?: CallOptions,
  ): Promise<MethodOutput<C, Method>>
  /** Ends the connection. Publishes that wait are rejected. */
  close(): Promise<void>
}
