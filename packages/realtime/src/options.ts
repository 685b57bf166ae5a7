import type { IncomingMessage } from 'node:http'
import type { Duration } from '@cays/core/duration'
import type { Contract, HistoryOptions, MatchedParams, RoomPattern } from './contract.ts'
import type { SharedMemory } from './memory-rooms.ts'
import type { RedisClient } from './redis-client.ts'
import type { Taker, TokenBucketOptions } from './token-bucket.ts'

/** Who a connection belongs to; add whatever your `authorize` rules want to know. */
export interface Identity {
  readonly userId: string
  /** The connection ends then unless the client sends a fresh token before. A Date or Unix milliseconds. */
  readonly expiresAt?: Date | number
}

/** A connection that says who it is. */
export interface AuthenticateAttempt {
  /** What the client's `getToken` returned; empty when it has none. Not verified in any way. */
  readonly token: string
  /** The upgrade request, for cookies and the address. */
  readonly request: IncomingMessage
  /** What the client passed as `info`. Not verified in any way. */
  readonly info: unknown
  /** Aborts when the client is gone or took too long. */
  readonly signal: AbortSignal
}

/** What somebody may do in a room. `true` stands for subscribing alone. */
export interface Grant {
  /** @default true */
  readonly subscribe?: boolean
  /** Events a client may publish itself; `true` for all. @default none */
  readonly publish?: boolean | readonly string[]
  /** Whether a client may see who is in the room and be seen itself; `'watch'` for seeing alone. @default false */
  readonly presence?: boolean | 'watch'
  /** When the right to the room ends. A Date or Unix milliseconds. */
  readonly expiresAt?: Date | number
}

/** Which room a rule decides about. */
export interface AuthorizeContext {
  readonly room: string
  readonly signal: AbortSignal
}

/** Decides about one room; `true` lets everybody who is authenticated subscribe. */
export type AuthorizeRule<Who, Params> =
  | true
  | ((who: Who, params: Params, context: AuthorizeContext) => boolean | Grant | Promise<boolean | Grant>)

/** One rule per pattern; a room that no pattern fits is denied. */
export type Authorize<C extends Contract, Who> =
  string extends RoomPattern<C>
    ? Readonly<Record<string, AuthorizeRule<Who, Readonly<Record<string, string>>>>>
    : { readonly [Pattern in RoomPattern<C>]: AuthorizeRule<Who, MatchedParams<Pattern>> }

/** What one client, one user and one process may use. */
export interface LimitOptions {
  /** Bytes of one frame from a client. @default 65_536 */
  readonly payload?: number
  /** Rooms of one connection. @default 128 */
  readonly rooms?: number
  /** Messages per second and connection; or a function that makes a limiter for one. @default { rate: 50, burst: 100 } */
  readonly inbound?: TokenBucketOptions | (() => Taker)
  /** Bytes that may wait in memory for one socket; more stays in the history until it has room. @default 1_048_576 */
  readonly outbound?: number
  /** @default 20 */
  readonly connectionsPerUser?: number
  /** @default 1_000 */
  readonly connectionsPerAddress?: number
  /** Connections of this process; more are told to come back later. @default 50_000 */
  readonly connections?: number
  /** Connections that may be authenticating at once; more are told to come back later. @default 500 */
  readonly handshakes?: number
  /** How long a client may take to send its first message, and `authenticate` and `authorize` to answer. @default '10s' */
  readonly handshakeTimeout?: Duration
  /** Publishes of this process that may wait for Redis. @default 10_000 */
  readonly publishes?: number
}

/** When somebody counts as gone. */
export interface PresenceOptions {
  /** How long a user whose connection broke is still there: longer than a reconnect takes. @default '10s' */
  readonly grace?: Duration
  /** How long a node that was killed is believed; its users are gone at most four thirds of it later. @default '6s' */
  readonly lease?: Duration
}

/** What is compressed for clients that can read it. */
export interface CompressionOptions {
  /** Bytes from which it is worth it. @default 1_024 */
  readonly threshold?: number
}

export interface BaseOptions<C extends Contract> {
  readonly contract?: C
  /**
   * An ioredis `Redis` or `Cluster`; its address and credentials are used for connections of our own.
   * Without it rooms live in this process alone, and die with it.
   */
  readonly redis?: RedisClient
  /** Instead of `redis`, for nodes and publishers of one process that are one service: in tests. */
  readonly memory?: SharedMemory
  /** First part of every key and channel; apps with one Redis and different prefixes do not meet. @default 'rt' */
  readonly prefix?: string
  /** How much rooms keep for clients that come back, unless their contract says otherwise. */
  readonly history?: HistoryOptions
  /** Longest a publish may take, retries included. @default '5s' */
  readonly timeout?: Duration
  /** How long an `idempotencyKey` is remembered. @default '5m' */
  readonly idempotencyWindow?: Duration
  /** Label in telemetry. @default 'realtime' */
  readonly name?: string
}

/** Who may connect, what they may do, and where rooms live. */
export interface RealtimeOptions<C extends Contract, Who extends Identity> extends BaseOptions<C> {
  /**
   * Origins of pages that may connect, such as `'https://app.example'`; `'any'` switches the check off.
   * Programs that send no Origin are let through to `authenticate`: the check guards against other
   * people's pages using the visitor's cookies, which only a browser can do.
   */
  readonly origins: readonly string[] | 'any'
  /** Answers who it is, or `null` for nobody. What it throws is told as a temporary failure. */
  readonly authenticate: (attempt: AuthenticateAttempt) => Who | null | Promise<Who | null>
  readonly authorize: Authorize<C, Who>
  readonly limits?: LimitOptions
  readonly presence?: PresenceOptions
  /** How often either side of a connection proves that it is there. @default '25s' */
  readonly heartbeat?: Duration
  /** How often a node looks for messages its Redis subscription lost without a trace. @default '10s' */
  readonly checkInterval?: Duration
  /**
   * Compresses what goes to a room once, for all its sockets that offer permessage-deflate (every browser does), and
   * keeps no memory per socket. It costs time of the event loop for each message: worth it where bandwidth is dear.
   * What a client is sent alone, answers and what it missed, stays as it is. @default false
   */
  readonly compression?: boolean | CompressionOptions
}
