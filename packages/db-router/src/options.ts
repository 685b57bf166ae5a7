import type { Duration } from '@cays/core/duration'
import type { PoolConfig } from 'pg'
import type { Discovery } from './discovery.ts'
import type { Hedging } from './hedged-read.ts'

/** How fresh a read has to be. */
export type Consistency = 'strong' | 'session' | 'bounded' | 'eventual'
/** Where a statement may run: decided by its text, or as the caller says. */
export type Route = 'auto' | 'primary' | 'replica'
/** How statements find their server when the call does not say. */
export type Routing = 'auto' | 'explicit' | 'observe'

/** One Postgres server. */
export interface ServerOptions {
  /**
   * `postgres://user@host:port/database`, of one server: not of a load balancer, whose answers prove nothing. Several
   * hosts, as libpq takes them (`postgres://app@one,two:5433/app`), are several servers.
   */
  readonly url: string
  /** Share of reads relative to the others. @default 1 */
  readonly weight?: number
  /** Where it is, such as an availability zone; see `zone` of the router. */
  readonly zone?: string
}

/** What a password is for. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

/** Gives the password for one more connection, such as a token that lasts some minutes. */
export type PasswordFor = (server: ServerAddress) => string | Promise<string>

/** How servers are watched. */
export interface HealthOptions {
  /** Time between two probes of one server; varied by 10 % so that servers are not probed in step. @default '1s' */
  readonly interval?: Duration
  /** How long a probe may take. @default 400 */
  readonly timeout?: Duration
  /** Good probes in a row before a server that was down is used again. @default 2 */
  readonly rise?: number
  /** Failed probes in a row before a server counts as down. @default 2 */
  readonly fall?: number
  /** How long a replica that was down takes to get its full share of reads again. @default '10s' */
  readonly slowStart?: Duration
}

/** What a read does while no replica has what its session has seen. */
export interface WaitOptions {
  /** How long a read may wait for a replica to reach what the session has seen. @default 50 */
  readonly budget?: Duration
  /** Where the read goes when the budget is spent. @default 'primary' */
  readonly otherwise?: 'primary' | 'error'
}

/** How much of the primary reads may use while no replica can serve them. */
export interface FallbackOptions {
  /** Share of the primary's connections that reads without a replica may use, 0 to 1. @default 0.5 */
  readonly share?: number
  /** Reads that may wait for such a connection before more are shed. @default 1000 */
  readonly queue?: number
  /**
   * How long a read may wait for such a connection. One that would wait for more than half of it, by what the others take, is
   * shed at once. @default '1s'
   */
  readonly wait?: Duration
}

/** How statements wait while there is no primary. */
export interface BufferOptions {
  /** How long statements wait for a primary, counted from the moment it was lost. @default '10s' */
  readonly window?: Duration
  /** Statements that may wait at once. @default 1000 */
  readonly size?: number
}

/** How bookmarks are signed, and how long they count. */
export interface BookmarkOptions {
  /** Signs bookmarks, so that clients can carry them: at least 16 characters, the same on every node. */
  readonly secret: string
  /** How long a bookmark counts. Must not be shorter than `maxStaleness`. @default '30s' */
  readonly ttl?: Duration
}

/** What the router should know of your functions beyond what the database says. */
export interface FunctionOptions {
  /** Functions of yours that must run on the primary, by name without schema. */
  readonly primary?: readonly string[]
  /** Functions of yours that only read, by name without schema, though Postgres calls them volatile. */
  readonly replica?: readonly string[]
}

/** How statements share connections. */
export interface PipelineOptions {
  /** Statements that may be under way on one connection. @default 32 */
  readonly depth?: number
  /** A statement that takes this long on average gets a connection of its own. @default 20 */
  readonly slow?: Duration
}

/** Servers that are named, or found, or both. */
export type RouterServers =
  | {
      /** The server expected to take writes. Which one really does is observed, not configured. */
      readonly primary: string | ServerOptions
      /** Finds further servers, and goes on looking. */
      readonly discovery?: Discovery
    }
  | { readonly primary?: string | ServerOptions; readonly discovery: Discovery }

/** What `createRouter` takes. Times are milliseconds or strings such as `'5s'`. */
export type RouterOptions = RouterServers & RouterSettings

/** How the router works with its servers. */
export interface RouterSettings {
  readonly replicas?: readonly (string | ServerOptions)[]
  /** Where this process is: reads prefer replicas of the same `zone` that have a free connection. */
  readonly zone?: string
  /** Asked for the password of each new connection, instead of one in the URL. */
  readonly password?: PasswordFor
  /**
   * `transaction`: PgBouncer or another pooler that gives a connection to a transaction only stands before the servers.
   * Statements are not prepared, and what would leave state in a connection is refused.
   */
  readonly pooler?: 'transaction'
  /**
   * Settings of `pg.Pool`, applied to the pool of each server. `max` is per server.
   * `connectionTimeoutMillis` defaults to 5000 here.
   */
  readonly pool?: PoolConfig
  /**
   * `explicit` sends everything to the primary unless the call says `route: 'replica'`. So does `observe`, and tells by
   * `cays.reason` of its telemetry, and by `explain`, what `auto` would do. @default 'auto'
   */
  readonly routing?: Routing
  /** @default 'session' */
  readonly consistency?: Consistency
  /** A replica further behind serves no reads unless asked by name. @default '30s' */
  readonly maxStaleness?: Duration
  readonly wait?: WaitOptions
  /** Reads on the primary while no replica can serve them; `false` refuses them. */
  readonly fallback?: FallbackOptions | false
  /** `passive`: no timers. Servers are looked at while statements run, for databases that sleep when left alone. */
  readonly health?: HealthOptions | 'passive'
  readonly buffer?: BufferOptions
  /** How often a read is tried in all, each time on another server if there is one. @default 3 */
  readonly readAttempts?: number
  readonly functions?: FunctionOptions
  readonly bookmark?: BookmarkOptions
  /**
   * Sends statements outside of transactions without waiting for the answers to those before, several on one
   * connection. A text shares from its second run on and only while it is quick. Aborting such a statement
   * gives up waiting for it; it still runs. Not for PgBouncer in transaction mode. @default false
   */
  readonly pipeline?: boolean | PipelineOptions
  /**
   * Prepares texts that are repeated, on each connection that runs them, so that the server parses and plans
   * them once. Not for PgBouncer in transaction mode. @default false
   */
  readonly prepare?: boolean
  /**
   * Sends reads whose server is late to another replica as well: `hedging()` of `@cays/db-router/hedge`. @default none
   */
  readonly hedge?: Hedging
  /** Label of this instance in telemetry. @default 'default' */
  readonly name?: string
}
