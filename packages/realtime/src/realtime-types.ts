import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duration } from '@cays/core/duration'
import type { EventSource } from '@cays/core/events'
import type { BrokerHealth } from './broker.ts'
import type { CallContext } from './connection-host.ts'
import type {
  Contract,
  MethodInput,
  MethodName,
  MethodResult,
  PresenceOutput,
  RoomPattern,
} from './contract.ts'
import type { PublishingUser } from './create-publisher.ts'
import type { Identity } from './options.ts'
import type { PresenceMember } from './protocol.ts'
import type { ParamsArgument, PublishingRoom } from './room-publisher.ts'

/** What `on` reports. */
export type RealtimeEvents = {
  /** Somebody's first message was accepted. */
  readonly connected: { readonly connection: string; readonly userId: string }
  /** A connection that was accepted is gone. */
  readonly disconnected: { readonly connection: string; readonly userId: string }
  /** Something of the app threw: a rule, `authenticate`, a method's handler. The client saw a temporary failure. */
  readonly failed: { readonly where: 'authenticate' | 'authorize' | 'call'; readonly error: unknown }
}

/** The state of one node. */
export interface RealtimeHealth {
  /** `degraded`: sockets live, but Redis is away; what is missed is delivered when it is back. */
  readonly status: 'ok' | 'degraded' | 'draining' | 'closed'
  readonly node: string
  readonly connections: number
  /** Rooms this node follows. */
  readonly rooms: number
  readonly broker: BrokerHealth
}

/** What a user who is disconnected is told. */
export interface DisconnectOptions {
  /** Told to the client as the close reason; at most 100 characters. @default 'disconnected' */
  readonly reason?: string
  readonly signal?: AbortSignal
}

/** One user, on all devices and nodes, to reach or to disconnect. */
export interface RealtimeUser<C extends Contract> extends PublishingUser<C> {
  /**
   * Ends every connection of the user on every node; clients stop and do not come back by themselves.
   * Resolves when the order is stored: a node that cannot hear now carries it out when it can. It does not
   * keep the user from connecting again: that is for `authenticate` to refuse.
   */
  disconnect(options?: DisconnectOptions): Promise<void>
}

/** How fast a node empties. */
export interface DrainOptions {
  /** Over how long the clients' moves are spread. @default '20s' */
  readonly over?: Duration
  /** Aborting closes what is left at once. */
  readonly signal?: AbortSignal
}

/** One connection of this node, for those who run it. */
export interface RealtimeConnection<Who extends Identity> {
  readonly id: string
  readonly who: Who
  readonly address: string
  /** Names of its rooms; those of presence begin with `@`. */
  readonly rooms: readonly string[]
  /** Bytes that wait for it in memory. */
  readonly waiting: number
  /** Ends it for good: the client stops, and says so with this reason. */
  disconnect(reason?: string): void
}

/** A node of the realtime service; see {@link createRealtime}. */
export interface Realtime<C extends Contract, Who extends Identity>
  extends EventSource<RealtimeEvents>,
    AsyncDisposable {
  /**
   * Takes the WebSocket upgrades of one path; dispose to stop taking them. `path` is `/rt` by default.
   * A path of a server belongs to one node at a time: a second attach throws `REALTIME_ERR_INVALID_OPTION`.
   */
  attach(server: HttpServer | HttpsServer, options?: { readonly path?: string }): Disposable
  /**
   * Answers the requests of clients that use `@cays/realtime/client/sse`: mount it for POST on one path, before
   * anything that reads bodies (`app.post('/rt', realtime.eventStream)`). Any node may get any request.
   */
  eventStream(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** A room to publish to. Throws when the contract has no such pattern or a parameter is missing. */
  room<Pattern extends RoomPattern<C>>(
    pattern: Pattern,
    ...params: ParamsArgument<Pattern>
  ): PublishingRoom<C['rooms'][Pattern]>
  /** All devices of one user. */
  user(id: string): RealtimeUser<C>
  /**
   * Who is in a room now, on all nodes; each user once, however many connections they have. One read of
   * Redis. Those of a node that was killed are still there until its lease has run out.
   */
  presence<Pattern extends RoomPattern<C>>(
    pattern: Pattern,
    ...params: ParamsArgument<Pattern>
  ): Promise<readonly PresenceMember<PresenceOutput<C['rooms'][Pattern]>>[]>
  /**
   * Answers a method clients call. At most one handler per method. What it throws reaches the client as
   * `internal` without details, unless it carries a string `code` and `expose: true`.
   */
  rpc<Method extends MethodName<C>>(
    method: Method,
    handler: (
      input: MethodInput<C, Method>,
      context: CallContext<Who>,
    ) => MethodResult<C, Method> | Promise<MethodResult<C, Method>>,
  ): Disposable
  /** The state of this node; answers from memory, for a readiness probe. */
  health(): RealtimeHealth
  /** The connections of this node, as a list of this moment. Whole users: `user(id).disconnect()`, on all nodes. */
  connections(): readonly RealtimeConnection<Who>[]
  /**
   * Asks about this share of the clients (0 to 1) to open a new connection and then leave the old one, each at its
   * own moment within `over` ('20s' by default): spreads load after a node was added. Where they go is
   * the load balancer's choice. Answers how many were asked.
   */
  shed(share: number, options?: { readonly over?: Duration }): number
  /**
   * Moves the clients to other nodes without a gap: takes no new ones, advises each to open its new
   * connection at its own moment within `over`, and resolves when all have left or the time is over.
   * Call `close()` afterwards.
   */
  drain(options?: DrainOptions): Promise<void>
  /** Ends every connection with "restart", which clients answer by reconnecting elsewhere, and stops. */
  close(): Promise<void>
}
